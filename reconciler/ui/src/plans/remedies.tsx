/** Remedies: what a person could change. Each that can be supposed leads to a what-if with its edits. */
import { Link } from '@tanstack/react-router';
import type { Suggestion } from '../api/documents';
import { Shape } from '../look/status';
import { visible } from '../look/text';
import { asSuppositions } from '../whatif/data';

function TryIt({ remedy }: { remedy: Suggestion }) {
  const suppose = asSuppositions(remedy);
  if (!suppose) {
    return (
      <span className="text-xs text-muted">nothing that could be supposed: it is done by hand</span>
    );
  }
  return (
    <Link
      to="/whatif"
      search={{ suppose: JSON.stringify(suppose) }}
      className="button button-small"
    >
      Try it<span className="sr-only">: {remedy.text}</span>
    </Link>
  );
}

export function RemedyList({ remedies }: { remedies: Suggestion[] }) {
  return (
    <ul className="space-y-1.5" aria-label="Remedies">
      {remedies.map((remedy, index) => (
        <li key={index} className="flex flex-wrap items-center gap-x-3">
          <span className="inline-flex w-24 items-center gap-1.5 text-muted">
            {remedy.verified ? (
              <>
                <Shape mark="completed" /> verified
              </>
            ) : (
              'not tried'
            )}
          </span>
          <span className="min-w-0 flex-1">{visible(remedy.text)}</span>
          <TryIt remedy={remedy} />
        </li>
      ))}
    </ul>
  );
}
