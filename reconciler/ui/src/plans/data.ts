/** Plans: rows, one whole, whether it is stale, and applying it. Knows what its parts say together. */
import { queryOptions } from '@tanstack/react-query';
import { all, get, send } from '../api/client';
import type { Deployment, Plan, PlanRow, RevisionRow } from '../api/documents';
import { instanceSlug } from '../look/text';

export const plansQuery = queryOptions({
  queryKey: ['plans'],
  queryFn: ({ signal }) => all<PlanRow>('/plans', signal),
});

export const planQuery = (id: string) =>
  queryOptions({
    queryKey: ['plans', id],
    queryFn: ({ signal }) => get<Plan>(`/plans/${encodeURIComponent(id)}`, signal),
    // A plan is what it is: its id is the digest of it.
    staleTime: Number.POSITIVE_INFINITY,
  });

export const staleQuery = (id: string) =>
  queryOptions({
    queryKey: ['plans', id, 'stale'],
    queryFn: ({ signal }) =>
      get<{ moved: string[] }>(`/plans/${encodeURIComponent(id)}/stale`, signal),
  });

export const revisionsQuery = queryOptions({
  queryKey: ['revisions'],
  queryFn: ({ signal }) => all<RevisionRow>('/revisions', signal),
});

/** Of the newest commit. */
export function makePlan(options: Record<string, unknown>): Promise<Plan> {
  return send('POST', '/plans', { options });
}

export function applyPlan(id: string, force: boolean): Promise<Deployment> {
  return send('POST', `/plans/${encodeURIComponent(id)}/apply`, { force });
}

export interface NodeShare {
  node: string;
  before: string[];
  after: string[];
}

/** What is on each node before and after: the placement, and the changes that lead to it. */
export function placementByNode(plan: Plan): NodeShare[] {
  const shares = new Map<string, NodeShare>();
  const of = (node: string): NodeShare => {
    const found = shares.get(node) ?? { node, before: [], after: [] };
    shares.set(node, found);
    return found;
  };
  const created = new Set<string>();
  for (const change of plan.changes) {
    if (change.action === 'create') created.add(change.instance);
    if (change.action === 'move' && change.from) of(change.from).before.push(change.instance);
    if (change.action === 'delete' || change.action === 'forget')
      of(change.node).before.push(change.instance);
  }
  const moved = new Set(
    plan.changes.filter((change) => change.action === 'move').map((change) => change.instance),
  );
  for (const assignment of plan.placement.assignments) {
    of(assignment.node).after.push(assignment.instance);
    if (!created.has(assignment.instance) && !moved.has(assignment.instance)) {
      of(assignment.node).before.push(assignment.instance);
    }
  }
  for (const share of shares.values()) {
    share.before.sort();
    share.after.sort();
  }
  return [...shares.values()].sort((a, b) => a.node.localeCompare(b.node, 'en', { numeric: true }));
}

/** `db[0]` without its service's address: `db 0`. */
export function chipName(instance: string): string {
  return instanceSlug(instance).replace(/-(\d+)$/, ' $1');
}
