/** Services: their rows, what is said of one, and why its instances are where they are. */
import { queryOptions } from '@tanstack/react-query';
import { get } from '../api/client';
import type { Event, NodeViolations, Page, ServiceRow, Suggestion } from '../api/documents';
import { listQuery } from '../api/list';

export const servicesQuery = listQuery<ServiceRow>(
  ['services', 'list'],
  '/services',
  (row) => row.name,
);

export const serviceQuery = (name: string) =>
  queryOptions({
    queryKey: ['services', 'one', name],
    queryFn: ({ signal }) => get<ServiceRow>(`/services/${encodeURIComponent(name)}`, signal),
  });

/** As `devnet explain -json`. */
export interface Explanation {
  service: string;
  at?: string | null;
  missing: number;
  placed: { instance: string; node: string; reason?: string }[];
  nodes: (NodeViolations & {
    eligible: boolean;
    here: number;
    difference?: number | null;
    from?: string | null;
    held?: string | null;
    restarts?: number;
  })[];
  displaced?: unknown[];
  suggestions?: Suggestion[];
}

export const explainQuery = (name: string) =>
  queryOptions({
    queryKey: ['services', 'explain', name],
    queryFn: ({ signal }) =>
      get<Explanation>(`/services/${encodeURIComponent(name)}/explain`, signal),
  });

export const serviceEventsQuery = (name: string) =>
  queryOptions({
    queryKey: ['events', 'service', name],
    queryFn: ({ signal }) =>
      get<Page<Event>>(
        `/events?limit=200&subject=${encodeURIComponent(`service.${name}`)}`,
        signal,
      ),
  });
