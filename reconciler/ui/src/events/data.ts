/** Events and the audit log, newest first. Knows the filters; the server applies those it has. */
import { queryOptions } from '@tanstack/react-query';
import { get } from '../api/client';
import type { Event, Page } from '../api/documents';

export interface EventFilter {
  kind: string;
  q: string;
}

export const eventsQuery = (filter: EventFilter) =>
  queryOptions({
    queryKey: ['events', 'list', filter.kind, filter.q],
    queryFn: ({ signal }) => {
      const words = new URLSearchParams({ limit: '500' });
      if (filter.kind !== '') words.set('kind', filter.kind);
      if (filter.q !== '') words.set('q', filter.q);
      return get<Page<Event>>(`/events?${words}`, signal);
    },
    placeholderData: (before) => before,
  });

export interface AuditRow {
  seq: number;
  at: string;
  actor: string;
  role?: string | null;
  from?: string | null;
  action: string;
  subject?: string | null;
  before?: unknown;
  after?: unknown;
  /** The status of the answer. */
  outcome: number | string;
}

export const auditQuery = queryOptions({
  queryKey: ['audit'],
  queryFn: async ({ signal }) => {
    const answer = await get<AuditRow[] | Page<AuditRow>>('/audit?limit=500', signal);
    return Array.isArray(answer) ? answer : answer.items;
  },
});
