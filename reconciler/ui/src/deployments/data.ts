/**
 * Deployments: rows, one, its steps. Knows how the plan's steps and the lines of a run make the state of
 * each step, where the control plane does not tell the steps itself.
 */
import { queryOptions } from '@tanstack/react-query';
import { API, all, ask, get, send } from '../api/client';
import type { Deployment, DeploymentLine, Plan, StepRow } from '../api/documents';
import { lines } from '../api/lines';
import { asApiError } from '../api/problem';

export const deploymentsQuery = queryOptions({
  queryKey: ['deployments'],
  queryFn: ({ signal }) => all<Deployment>('/deployments', signal),
});

export const deploymentQuery = (id: string) =>
  queryOptions({
    queryKey: ['deployments', id],
    queryFn: ({ signal }) => get<Deployment>(`/deployments/${encodeURIComponent(id)}`, signal),
  });

const WORDS: Record<string, string> = { ensure: 'start' };

/** Steps of a plan as the lines of its run left them. */
export function stepsOf(plan: Plan, said: DeploymentLine[], ended: boolean): StepRow[] {
  const rows = new Map<string, StepRow>();
  for (const step of plan.steps) {
    rows.set(step.id, {
      id: step.id,
      instance: step.instance,
      node: step.node,
      do: WORDS[step.act.do] ?? step.act.do,
      after: step.after,
      state: 'waiting',
    });
  }
  for (const line of said) {
    if (line.type !== 'step') continue;
    const row = rows.get(line.report.step);
    if (!row) continue;
    row.began ??= line.at;
    row.state = line.report.state;
    row.message = line.report.state === 'failed' ? line.report.error : line.report.message;
    if (line.report.state !== 'running') row.ended = line.at;
  }
  for (const row of rows.values()) {
    if (row.state !== 'waiting') continue;
    const before = row.after.filter((id) => rows.get(id)?.state !== 'succeeded');
    row.blocked_by = before;
    if (ended) row.state = 'not-run';
  }
  return [...rows.values()];
}

/** The steps as told by the control plane; where it does not tell them, from the plan and the lines. */
export const stepsQuery = (deployment: Deployment) =>
  queryOptions({
    queryKey: ['deployments', deployment.id, 'steps'],
    queryFn: async ({ signal }): Promise<StepRow[]> => {
      const path = `/deployments/${encodeURIComponent(deployment.id)}`;
      try {
        const told = await get<StepRow[] | { items: StepRow[] }>(`${path}/steps`, signal);
        return Array.isArray(told) ? told : told.items;
      } catch (error) {
        if (asApiError(error).failure !== 'not-available') throw error;
      }
      const plan = await get<Plan>(`/plans/${encodeURIComponent(deployment.plan)}`, signal);
      const answer = await ask(`${API}${path}/logs`, { signal });
      const said: DeploymentLine[] = [];
      if (answer.body) for await (const line of lines<DeploymentLine>(answer.body)) said.push(line);
      return stepsOf(plan, said, deployment.state !== 'running');
    },
  });

export function cancelDeployment(id: string): Promise<Deployment> {
  return send('POST', `/deployments/${encodeURIComponent(id)}/cancel`);
}

export interface Lane {
  node: string;
  instances: [string, StepRow[]][];
}

/** Steps by node and instance, in the order of the plan; lanes with a failure first. */
export function lanesOf(steps: StepRow[]): Lane[] {
  const nodes = new Map<string, Map<string, StepRow[]>>();
  for (const step of steps) {
    const lane = nodes.get(step.node) ?? new Map<string, StepRow[]>();
    nodes.set(step.node, lane);
    lane.set(step.instance, [...(lane.get(step.instance) ?? []), step]);
  }
  const failed = (lane: Map<string, StepRow[]>) =>
    [...lane.values()].some((row) => row.some((step) => step.state === 'failed')) ? 0 : 1;
  return [...nodes]
    .sort(
      ([a, left], [b, right]) =>
        failed(left) - failed(right) || a.localeCompare(b, 'en', { numeric: true }),
    )
    .map(([node, lane]) => ({ node, instances: [...lane] }));
}
