/** Grouping nodes, and the line that lets one join. */
import { expect, it } from 'vitest';
import type { NodeRow } from '../api/documents';
import { joinLine } from './add-node-page';
import { groupsOf } from './nodes-page';

const node = (name: string, zone: string | null, tags: string[]): NodeRow => ({
  name,
  status: 'online',
  ip: '',
  instances: 0,
  last_seen: '',
  zone,
  tags,
});

it('puts a node with two tags into both groups, and one with none into its own', () => {
  const nodes = [node('a', 'r1', ['ssd', 'gpu']), node('b', null, [])];
  const names = (by: string) =>
    groupsOf(nodes, by).map(([name, members]) => [name, members.map((one) => one.name)]);
  expect(names('tag')).toEqual([
    ['gpu', ['a']],
    ['no tag', ['b']],
    ['ssd', ['a']],
  ]);
  expect(names('zone')).toEqual([
    ['no zone', ['b']],
    ['r1', ['a']],
  ]);
});

it('takes the line of the control plane, and keeps the token out of the arguments else', () => {
  const token = { token: 't0k', expires_at: '' };
  expect(joinLine({ ...token, command: 'devnet-agent up …' }, '', 'https://a')).toBe(
    'devnet-agent up …',
  );
  expect(joinLine(token, 'nuc1', 'https://a:7443')).toBe(
    'DEVNET_TOKEN=t0k devnet-agent up --server https://a:7443 --name nuc1',
  );
});
