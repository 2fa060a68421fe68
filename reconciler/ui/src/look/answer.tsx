/**
 * What a page shows of a query: nothing for a moment, then a skeleton; the answer; old data with a
 * word on why it is old; or the error. Knows the order of these. Refuses to show an empty list for one
 * that could not be read.
 */
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { asApiError } from '../api/problem';
import { ProblemView } from './problem-view';

export function Skeleton({ rows = 4 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="space-y-2 p-1">
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className="skeleton h-5 w-full" />
      ))}
    </div>
  );
}

export function Answer<T>({
  query,
  children,
  rows,
}: {
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
  rows?: number;
}) {
  if (query.data !== undefined) {
    const old = query.error ? asApiError(query.error) : undefined;
    // The banner says it when the control plane is away, and the login when the session has ended.
    const told = old?.failure === 'unreachable' || old?.failure === 'session-ended';
    return (
      <>
        {old && !told ? (
          <div className="mb-2">
            <ProblemView error={old} retry={() => void query.refetch()} />
          </div>
        ) : null}
        {children(query.data)}
      </>
    );
  }
  if (query.error) return <ProblemView error={query.error} retry={() => void query.refetch()} />;
  return <Skeleton rows={rows ?? 4} />;
}

/** Nothing is there, and that is an answer: why, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="panel p-5 text-center" data-empty>
      <div className="font-semibold">{title}</div>
      {children ? <div className="note mx-auto mt-1 max-w-prose text-muted">{children}</div> : null}
    </div>
  );
}
