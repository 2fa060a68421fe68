/** What is known and what changed make what there is. */
import { expect, it } from 'vitest';
import { joined } from './list';

interface Row {
  name: string;
  size: number;
}

const keyOf = (row: Row) => row.name;
const known = {
  serial: 4,
  items: [
    { name: 'node-2', size: 1 },
    { name: 'node-10', size: 1 },
  ],
};

it('takes in what changed, what is new and what is gone, in order', () => {
  const answer = {
    serial: 7,
    items: [
      { name: 'node-10', size: 2 },
      { name: 'node-9', size: 1 },
    ],
    gone: ['node-2'],
  };
  expect(joined(known, answer, keyOf)).toEqual({
    serial: 7,
    items: [
      { name: 'node-9', size: 1 },
      { name: 'node-10', size: 2 },
    ],
  });
});

it('keeps the same rows where nothing changed', () => {
  const after = joined(known, { serial: 9, items: [] }, keyOf);
  expect(after.items).toBe(known.items);
  expect(after.serial).toBe(9);
});

it('takes a whole answer for all there is', () => {
  const answer = { serial: 2, items: [{ name: 'a', size: 1 }], whole: true };
  expect(joined(known, answer, keyOf)).toEqual({ serial: 2, items: [{ name: 'a', size: 1 }] });
});
