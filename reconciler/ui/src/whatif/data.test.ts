/** Suppositions out of an address, in words, and as a command. */
import { expect, it } from 'vitest';
import type { Suggestion } from '../api/documents';
import { asSuppositions, commandOf, readSuppositions, told } from './data';

it('reads what it knows and leaves the rest', () => {
  expect(readSuppositions('[{"drain":"n1"},{"rm":"-rf"},3]')).toEqual([{ drain: 'n1' }]);
  expect(readSuppositions('nonsense')).toEqual([]);
  expect(readSuppositions(undefined)).toEqual([]);
});

it('asks the command line the same', () => {
  const suppose = [
    { drain: 'n1' },
    { without: 'n2' },
    { scale: { service: 'web', replicas: 5 } },
    { with_node: { cpu: 16, memory: '64GiB', gpus: '1x24GiB' } },
  ];
  expect(commandOf(suppose, true)).toBe(
    'devnet whatif -drain n1 -without n2 -scale web=5 -with-node "cpu=16 memory=64GiB gpu=1x24GiB" -survive 1',
  );
});

it('supposes a remedy where all of it can be supposed', () => {
  const remedy = (...edits: Suggestion['edits']): Suggestion => ({
    text: '',
    cost: 0,
    verified: true,
    edits,
  });
  const drop = { kind: 'drop', constraint: 'pin', service: 'web', at: 'cluster.kdl:41:9' };
  const node = {
    kind: 'add-node',
    cpu: 0.5,
    memory: '64GiB',
    disk: '0B',
    gpus: ['24GiB', '24GiB'],
  };
  expect(asSuppositions(remedy(drop, node))).toEqual([
    { edit: { drop: 'cluster.kdl:41:9' } },
    { with_node: { cpu: 1, memory: '64GiB', gpus: '2x24GiB' } },
  ]);
  const raise = { kind: 'raise', node: 'n1', resource: 'memory', amount: 1024 };
  expect(asSuppositions(remedy(drop, raise))).toBeUndefined();
  expect(told({ edit: { drop: 'cluster.kdl:41:9' } })).toBe('the line at cluster.kdl:41:9 is gone');
});
