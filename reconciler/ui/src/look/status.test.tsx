/** Unknown is not down, and waiting is not failed. */
import { expect, it } from 'vitest';
import { markOfInstance, markOfNode } from './status';

it('says unknown of an instance whose node is away, whatever its health was', () => {
  expect(markOfInstance({ state: 'unknown', health: 'healthy' })).toBe('unknown');
  expect(markOfInstance({ state: 'running', health: 'unknown' })).toBe('unknown');
  expect(markOfInstance({ state: 'exited', health: 'unknown' })).toBe('exited');
  expect(markOfInstance({ state: 'running', health: 'unhealthy' })).toBe('unhealthy');
});

it('says that a node is away before it says that it is cordoned', () => {
  expect(markOfNode({ status: 'offline', cordoned: true })).toBe('offline');
  expect(markOfNode({ status: 'online', cordoned: true })).toBe('cordoned');
  expect(markOfNode({ status: 'lost', cordoned: false })).toBe('lost');
});
