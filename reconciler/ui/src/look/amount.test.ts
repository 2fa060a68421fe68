/** Amounts and spans of time. */
import { expect, it } from 'vitest';
import { age, bytes, cores, span } from './amount';

it('writes sizes as the command line does', () => {
  expect(bytes(64 * 1024 ** 3)).toBe('64GiB');
  expect(bytes(1.5 * 1024 ** 3)).toBe('1.5GiB');
  expect(bytes(84 * 1024 ** 2)).toBe('84MiB');
  expect(bytes(0)).toBe('0B');
  expect(cores(18_250)).toBe('18.25');
});

it('counts ages in one unit and never backwards', () => {
  expect(age(0, 59_000)).toBe('59s');
  expect(age(0, 61_000)).toBe('1m');
  expect(age(0, 47 * 3_600_000)).toBe('47h');
  expect(age(0, 72 * 3_600_000)).toBe('3d');
  expect(age(5000, 0)).toBe('0s');
});

it('tells how long something took', () => {
  expect(span(41_000)).toBe('00:41');
  expect(span(3_723_000)).toBe('1:02:03');
});
