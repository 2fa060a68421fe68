/** Steps out of a plan and the lines of its run. */
import { expect, it } from 'vitest';
import type { DeploymentLine, Plan, StepReport } from '../api/documents';
import { lanesOf, stepsOf } from './data';

const PLAN = {
  steps: [
    {
      id: 'db[0]/prepare',
      instance: 'db[0]',
      node: 'n1',
      generation: 1,
      act: { do: 'prepare' },
      after: [],
    },
    {
      id: 'db[0]/start',
      instance: 'db[0]',
      node: 'n1',
      generation: 1,
      act: { do: 'ensure' },
      after: ['db[0]/prepare'],
    },
    {
      id: 'web[0]/start',
      instance: 'web[0]',
      node: 'n2',
      generation: 1,
      act: { do: 'ensure' },
      after: ['db[0]/start'],
    },
  ],
} as unknown as Plan;

type Said =
  | { state: 'running' | 'succeeded'; message: string }
  | { state: 'failed'; error: string };

const line = (step: string, said: Said, at = '2026-12-01T00:00:00Z'): DeploymentLine => ({
  type: 'step',
  at,
  instance: '',
  node: '',
  report: { deployment: 'd', step, ...said } as StepReport,
});

it('says of a step that waits what blocks it', () => {
  const steps = stepsOf(
    PLAN,
    [line('db[0]/prepare', { state: 'running', message: 'pulling, 84 of 120 MiB' })],
    false,
  );
  expect(steps.map((step) => [step.id, step.state, step.blocked_by ?? []])).toEqual([
    ['db[0]/prepare', 'running', []],
    ['db[0]/start', 'waiting', ['db[0]/prepare']],
    ['web[0]/start', 'waiting', ['db[0]/start']],
  ]);
  expect(steps[0]?.message).toBe('pulling, 84 of 120 MiB');
  expect(steps[1]?.do).toBe('start');
});

it('says of what never began that it was not run, once the run has ended', () => {
  const said = [
    line('db[0]/prepare', { state: 'succeeded', message: '' }),
    line('db[0]/start', { state: 'failed', error: 'port 5432 is taken' }),
  ];
  const steps = stepsOf(PLAN, said, true);
  expect(steps.map((step) => step.state)).toEqual(['succeeded', 'failed', 'not-run']);
  expect(steps[1]?.message).toBe('port 5432 is taken');
});

it('puts the lane with a failure first', () => {
  const said = [line('web[0]/start', { state: 'failed', error: 'x' })];
  expect(lanesOf(stepsOf(PLAN, said, true)).map((lane) => lane.node)).toEqual(['n2', 'n1']);
});
