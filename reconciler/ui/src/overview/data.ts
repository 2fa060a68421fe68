/**
 * The cluster at a glance. Knows the status document and what in it needs a look. Refuses to count what
 * it was not told.
 */
import { queryOptions } from '@tanstack/react-query';
import { get } from '../api/client';
import type { Event, InstanceRow, Page, ServiceRow, Status } from '../api/documents';
import { type Mark, markOfInstance, markOfNode } from '../look/status';

export const statusQuery = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => get<Status>('/status', signal),
});

export const newestEventsQuery = queryOptions({
  queryKey: ['events', 'newest'],
  queryFn: ({ signal }) => get<Page<Event>>('/events?limit=8', signal),
});

export interface Look {
  id: string;
  mark: Mark;
  name: string;
  to: string;
  why: string;
  at?: string | undefined;
}

function ofInstance(row: InstanceRow, status: Status): Look {
  const mark = markOfInstance(row);
  const node = status.nodes.find((one) => one.name === row.node);
  const away = mark === 'unknown' && node && node.status !== 'online';
  const why = row.stranger
    ? 'nobody ordered it there'
    : away
      ? `${row.node} is ${node.status}`
      : (row.message ?? (mark === 'unhealthy' ? 'its probe fails' : row.state));
  return {
    id: `instance/${row.id}@${row.node}`,
    mark,
    name: `${row.id} on ${row.node}`,
    to: `/instances/${row.id.replace(/\[(\d+)\]$/, '-$1')}`,
    why,
    at: away ? node.last_seen : undefined,
  };
}

/** Instances of a service that should be and are nowhere. */
function waits(service: ServiceRow): Look[] {
  if (service.waiting && service.waiting.length > 0) {
    return service.waiting.map((one) => ({
      id: `waiting/${one.instance}`,
      mark: 'waiting' as const,
      name: one.instance,
      to: `/services/${service.name}`,
      why: one.reason,
    }));
  }
  const missing = service.desired - service.instances.length;
  if (missing <= 0) return [];
  const name = `${service.name}: ${missing} of ${service.desired}`;
  return [
    {
      id: `waiting/${service.name}`,
      mark: 'waiting',
      name,
      to: `/services/${service.name}?tab=explain`,
      why: 'not placed or not started',
    },
  ];
}

const WORST: Mark[] = [
  'failed',
  'unhealthy',
  'exited',
  'unknown',
  'lost',
  'offline',
  'waiting',
  'starting',
];

/** Everything that is not as declared, worst first. */
export function needsALook(status: Status): Look[] {
  const nodes = status.nodes
    .filter((node) => node.status !== 'online' || node.problem)
    .map(
      (node): Look => ({
        id: `node/${node.name}`,
        mark: node.status === 'online' ? 'unhealthy' : markOfNode(node),
        name: node.name,
        to: `/nodes/${node.name}`,
        why: node.problem ?? `not heard of; its instances are unknown`,
        at: node.last_seen,
      }),
    );
  const services = status.services.flatMap((service) => [
    ...service.instances
      .filter((row) => {
        const mark = markOfInstance(row);
        return (mark !== 'healthy' && mark !== 'completed') || row.stranger;
      })
      .map((row) => ofInstance(row, status)),
    ...waits(service),
  ]);
  return [...nodes, ...services].sort((a, b) => WORST.indexOf(a.mark) - WORST.indexOf(b.mark));
}

export function count<T>(items: T[], of: (item: T) => Mark): [Mark, number][] {
  const found = new Map<Mark, number>();
  for (const item of items) found.set(of(item), (found.get(of(item)) ?? 0) + 1);
  return [...found];
}

/** A service is as well as the worst of what it should have. */
export function markOfService(service: ServiceRow): Mark {
  const marks = service.instances.map(markOfInstance);
  for (const bad of ['unhealthy', 'exited', 'unknown'] as const)
    if (marks.includes(bad)) return bad;
  if (service.instances.length < service.desired) return 'waiting';
  if (marks.includes('starting')) return 'starting';
  if (marks.length > 0 && marks.every((mark) => mark === 'completed')) return 'completed';
  return service.healthy >= service.desired ? 'healthy' : 'starting';
}
