/** Which queries a change makes read again. */
import { expect, it } from 'vitest';
import { queriesOf } from './live';

it('reads again what shows the topic, and the overview with it', () => {
  expect([...queriesOf(['nodes'])]).toContain('nodes');
  expect([...queriesOf(['nodes'])]).toContain('status');
  expect([...queriesOf(['deployment:0199'])]).toContain('deployments');
  expect([...queriesOf(['secrets'])]).toEqual(['secrets']);
});

it('takes a topic that it does not know for the name of a query', () => {
  expect([...queriesOf(['silences'])]).toEqual(['silences']);
});
