/** Nodes: their rows, one with its facts, and what may be done to it at once. */
import { queryOptions } from '@tanstack/react-query';
import { all, get, send } from '../api/client';
import type {
  Event,
  InstanceRow,
  NewJoinToken,
  Node,
  NodeRow,
  Page,
  TokenRow,
} from '../api/documents';
import { listQuery } from '../api/list';

export const nodesQuery = listQuery<NodeRow>(['nodes', 'list'], '/nodes', (row) => row.name);

export const nodeQuery = (name: string) =>
  queryOptions({
    queryKey: ['nodes', 'one', name],
    queryFn: ({ signal }) => get<Node>(`/nodes/${encodeURIComponent(name)}`, signal),
  });

export const instancesQuery = listQuery<InstanceRow>(
  ['instances', 'list'],
  '/instances',
  (row) => `${row.id}@${row.node}`,
);

export const nodeEventsQuery = (name: string) =>
  queryOptions({
    queryKey: ['events', 'node', name],
    queryFn: ({ signal }) =>
      get<Page<Event>>(`/events?limit=200&subject=${encodeURIComponent(`node.${name}`)}`, signal),
  });

export interface Usage {
  at: string;
  cpu: number;
  memory_mb: number;
  gpus?: { id: string; util: number; mem_mb: number; temp?: number }[];
}

export const usageQuery = (kind: 'nodes' | 'instances', name: string) =>
  queryOptions({
    queryKey: ['usage', kind, name],
    queryFn: async ({ signal }) => {
      const path = `/${kind}/${encodeURIComponent(name)}/usage?window=1h&step=60`;
      const answer = await get<Usage[] | Page<Usage>>(path, signal);
      return Array.isArray(answer) ? answer : answer.items;
    },
  });

export const tokensQuery = queryOptions({
  queryKey: ['tokens'],
  queryFn: ({ signal }) => all<TokenRow>('/nodes/tokens', signal),
});

const path = (name: string) => `/nodes/${encodeURIComponent(name)}`;

export function cordon(node: NodeRow | Node): Promise<void> {
  return send('POST', `${path(node.name)}/${node.cordoned ? 'uncordon' : 'cordon'}`);
}

export function removeNode(name: string, force: boolean): Promise<void> {
  return send('DELETE', `${path(name)}${force ? '?force=true' : ''}`);
}

export interface TokenWish {
  ttl_seconds: number;
  node: string | null;
  replace: boolean;
}

export function makeToken(wish: TokenWish): Promise<NewJoinToken> {
  return send('POST', '/nodes/tokens', wish);
}
