/** Folding equal lines. */
import { expect, it } from 'vitest';
import { pieces } from './diff';

const equal = (count: number) => Array.from({ length: count }, (_, index) => ` line ${index}`);

it('folds long runs of equal lines and keeps three on each side of a change', () => {
  const diff = ['@@ -1 +1 @@', ...equal(40), '-old', '+new', ...equal(40)].join('\n');
  expect(pieces(diff).map((piece) => [piece.kind, piece.lines.length])).toEqual([
    ['hunk', 1],
    ['equal', 3],
    ['fold', 34],
    ['equal', 3],
    ['del', 1],
    ['add', 1],
    ['equal', 3],
    ['fold', 37],
  ]);
});

it('loses no line', () => {
  const diff = ['@@', ...equal(20), '+a', '+b', ...equal(3)].join('\n');
  expect(
    pieces(`${diff}\n`)
      .flatMap((piece) => piece.lines)
      .join('\n'),
  ).toBe(diff);
});
