/** Suppositions out of an address, in words, and as a command. */
import { expect, it } from 'vitest';
import { commandOf, readSuppositions, told } from './data';

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

it('says a remedy in words', () => {
  expect(told({ edit: { kind: 'move', instance: 'web[1]', from: 'vega', to: 'nuc1' } })).toBe(
    'web[1] moves from vega to nuc1',
  );
});
