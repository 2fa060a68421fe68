/** Values that are made here. */
import { expect, it } from 'vitest';
import { generate } from './data';

it('makes so many letters, and takes no byte that would favour some', () => {
  let turn = 0;
  const made = generate(32, (into) => {
    into.fill(turn === 0 ? 255 : turn);
    turn += 1;
  });
  expect(made).toHaveLength(32);
  expect(made).toBe('B'.repeat(32));
  expect(turn).toBe(2);
});
