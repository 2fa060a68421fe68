/** Where a login leads, and the code of an address. */
import { expect, it } from 'vitest';
import { codeOf, nextOf } from './data';

it('goes to a path of this app only', () => {
  expect(nextOf('?next=/nodes?q=a')).toBe('/nodes?q=a');
  for (const bad of [
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    'javascript:alert(1)',
    '/login',
  ]) {
    expect(nextOf(`?next=${encodeURIComponent(bad)}`), bad).toBe('/');
  }
});

it('reads a code from the fragment', () => {
  expect(codeOf('#code=abc-def')).toBe('abc-def');
  expect(codeOf('')).toBeUndefined();
});
