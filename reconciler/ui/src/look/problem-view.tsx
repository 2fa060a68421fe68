/**
 * An error as a person needs it: what failed, what to do next, every diagnostic with its place.
 * Knows problem documents. Refuses to show what is not in them.
 */
import type { Diagnostic } from '../api/documents';
import { type ApiError, asApiError } from '../api/problem';
import { Shape } from './status';
import { visible } from './text';

export function DiagnosticList({ items }: { items: Diagnostic[] }) {
  if (items.length === 0) return null;
  return (
    <ul className="space-y-1.5">
      {items.map((item, index) => (
        <li key={index}>
          <div className="flex flex-wrap items-baseline gap-x-2">
            <span className={item.severity === 'error' ? 'text-bad' : 'text-warn'}>
              {item.severity}
            </span>
            {item.at ? (
              <span className="code">
                {visible(item.at.file)}:{item.at.line}:{item.at.column}
              </span>
            ) : null}
            <span className="code text-muted">{item.code}</span>
            <span className="whitespace-pre-wrap">{visible(item.message)}</span>
          </div>
          {item.help ? <div className="text-muted">help: {visible(item.help)}</div> : null}
          {(item.related ?? []).map(([at, why], place) => (
            <div key={place} className="text-muted">
              <span className="code">
                {visible(at.file)}:{at.line}:{at.column}
              </span>{' '}
              {visible(why)}
            </div>
          ))}
        </li>
      ))}
    </ul>
  );
}

const LOOK = {
  unreachable: 'offline',
  'session-ended': 'cordoned',
  forbidden: 'cordoned',
  'not-found': 'unknown',
  'not-available': 'unknown',
  'not-ready': 'waiting',
  refused: 'failed',
} as const;

export function ProblemView({
  error,
  retry,
  quiet = false,
}: {
  error: unknown;
  retry?: (() => void) | undefined;
  quiet?: boolean;
}) {
  const problem: ApiError = asApiError(error);
  const title =
    problem.failure === 'not-available'
      ? 'This control plane does not answer that yet'
      : problem.message;
  return (
    <div
      className={`note ${quiet ? '' : 'panel p-3'}`}
      role={quiet ? undefined : 'alert'}
      data-failure={problem.failure}
    >
      <div className="flex items-start gap-2">
        <span className="mt-1">
          <Shape mark={LOOK[problem.failure]} />
        </span>
        <div className="min-w-0 flex-1">
          <div className="font-semibold">{visible(title)}</div>
          {problem.failure === 'not-available' && problem.status === 501 ? (
            <div className="text-muted">{visible(problem.message)}</div>
          ) : null}
          {problem.detail ? <div className="text-muted">{visible(problem.detail)}</div> : null}
          {problem.diagnostics.length > 0 ? (
            <div className="mt-2">
              <DiagnosticList items={problem.diagnostics} />
            </div>
          ) : null}
        </div>
        {retry && problem.failure !== 'forbidden' && problem.failure !== 'not-available' ? (
          <button type="button" className="button button-small" onClick={retry}>
            Try again
          </button>
        ) : null}
      </div>
    </div>
  );
}
