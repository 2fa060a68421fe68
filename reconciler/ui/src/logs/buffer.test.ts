/** A log in memory: what is kept, what is counted. */
import { expect, it } from 'vitest';
import type { LogEntry } from '../api/documents';
import { LogBuffer, levelOf } from './buffer';

const entries = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    instance: 'web[0]',
    stream: 'stdout',
    text: `line ${from + index}`,
  }));

it('keeps the newest and counts what it let go', () => {
  const buffer = new LogBuffer(100);
  for (let batch = 0; batch < 50; batch += 1) buffer.add(entries(batch * 10, 10));
  expect(buffer.length).toBe(100);
  expect(buffer.dropped).toBe(400);
  expect(buffer.at(0)?.text).toBe('line 400');
  expect(buffer.at(99)?.text).toBe('line 499');
  expect(buffer.at(100)).toBeUndefined();
  expect(buffer.at(99)?.number).toBe(500);
});

it('remembers how each log ended and takes that for no line', () => {
  const buffer = new LogBuffer();
  buffer.add([...entries(0, 1), { instance: 'web[0]', end: { reason: 'gone', message: 'moved' } }]);
  expect(buffer.length).toBe(1);
  expect(buffer.ends.get('web[0]')?.reason).toBe('gone');
});

it('takes the end of a session for no line', () => {
  const buffer = new LogBuffer();
  buffer.add([...entries(0, 1), { error: 'session-ended' } as unknown as LogEntry]);
  expect(buffer.length).toBe(1);
});

it('finds lines', () => {
  const buffer = new LogBuffer(10);
  buffer.add(entries(0, 20));
  expect(buffer.matching((line) => line.text.endsWith('5')).map((line) => line.text)).toEqual([
    'line 15',
  ]);
});

it('reads the level where a line names one, and only there', () => {
  expect(levelOf('2026-12-01 ERROR no such table')).toBe('error');
  expect(levelOf('level=warning msg="slow"')).toBe('warn');
  expect(levelOf('GET /errors 200')).toBe('other');
  expect(levelOf(`${'x'.repeat(200)} error`)).toBe('other');
});
