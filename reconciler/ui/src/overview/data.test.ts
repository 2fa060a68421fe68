/** What needs a look, and in which order. */
import { expect, it } from 'vitest';
import type { ServiceRow, Status } from '../api/documents';
import { markOfService, needsALook } from './data';

const row = (
  id: string,
  state: 'running' | 'unknown' | 'exited',
  health: 'healthy' | 'unhealthy' | 'unknown',
) => ({
  id,
  node: 'n1',
  state,
  health,
});

const service = (
  name: string,
  desired: number,
  instances: ServiceRow['instances'],
): ServiceRow => ({
  name,
  desired,
  healthy: instances.filter((one) => one.health === 'healthy').length,
  instances,
});

const node = (status: 'online' | 'offline') => ({
  name: 'n1',
  status,
  ip: '10.0.0.1',
  instances: 1,
  last_seen: '2026-12-01T00:00:00Z',
});

it('is empty when everything declared is there and healthy', () => {
  const status: Status = {
    nodes: [node('online')],
    services: [service('db', 1, [row('db[0]', 'running', 'healthy')])],
  };
  expect(needsALook(status)).toEqual([]);
});

it('says of an instance on a node that is away that it is unknown, and why', () => {
  const status: Status = {
    nodes: [node('offline')],
    services: [service('db', 1, [row('db[0]', 'unknown', 'unknown')])],
  };
  const looks = needsALook(status);
  expect(looks.map((look) => [look.mark, look.name, look.why])).toEqual([
    ['unknown', 'db[0] on n1', 'n1 is offline'],
    ['offline', 'n1', 'not heard of; its instances are unknown'],
  ]);
});

it('puts what fails before what waits', () => {
  const status: Status = {
    nodes: [node('online')],
    services: [
      service('a', 2, [row('a[0]', 'running', 'healthy')]),
      service('b', 1, [row('b[0]', 'running', 'unhealthy')]),
    ],
  };
  expect(needsALook(status).map((look) => look.mark)).toEqual(['unhealthy', 'waiting']);
});

it('takes the words of the control plane on what waits', () => {
  const waiting = {
    ...service('a', 1, []),
    waiting: [{ instance: 'a[0]', reason: 'no node has room for it' }],
  };
  const looks = needsALook({ nodes: [], services: [waiting] });
  expect(looks.map((look) => look.why)).toEqual(['no node has room for it']);
});

it('is as well as the worst of what a service should have', () => {
  expect(markOfService(service('a', 2, [row('a[0]', 'running', 'healthy')]))).toBe('waiting');
  expect(markOfService(service('a', 1, [row('a[0]', 'unknown', 'unknown')]))).toBe('unknown');
  expect(markOfService(service('a', 1, [row('a[0]', 'running', 'healthy')]))).toBe('healthy');
  expect(markOfService(service('a', 0, []))).toBe('healthy');
});
