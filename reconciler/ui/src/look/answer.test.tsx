/** What stands where an answer should be. */
import { QueryClientProvider, useQuery } from '@tanstack/react-query';
import { render, screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import { ApiError } from '../api/problem';
import { newQueries } from '../api/queries';
import { Answer } from './answer';

function Shown({ ask }: { ask: () => Promise<string[]> }) {
  const query = useQuery({ queryKey: ['list'], queryFn: ask });
  return <Answer query={query}>{(rows) => <p>{rows.length} rows</p>}</Answer>;
}

function show(ask: () => Promise<string[]>, before?: string[]) {
  const queries = newQueries();
  if (before) queries.setQueryData(['list'], before);
  render(
    <QueryClientProvider client={queries}>
      <Shown ask={ask} />
    </QueryClientProvider>,
  );
  return queries;
}

const refused = (
  status: number,
  title: string,
  failure: 'forbidden' | 'refused' | 'not-available',
) => new ApiError(failure, { type: 'x', title, status, detail: 'Do this next.' });

it('does not take a list that could not be read for an empty one', async () => {
  show(() => Promise.reject(refused(500, 'The records cannot be read', 'refused')));
  expect((await screen.findByRole('alert')).textContent).toContain('The records cannot be read');
  expect(screen.getByRole('alert').textContent).toContain('Do this next.');
  expect(screen.queryByText('0 rows')).toBeNull();
  expect(screen.getByRole('button', { name: 'Try again' })).toBeTruthy();
});

it('offers no retry where the role is too low', async () => {
  show(() => Promise.reject(refused(403, 'it needs the role planner', 'forbidden')));
  expect((await screen.findByRole('alert')).textContent).toContain('it needs the role planner');
  expect(screen.queryByRole('button', { name: 'Try again' })).toBeNull();
});

it('says what a control plane does not have, in its own words', async () => {
  show(() => Promise.reject(refused(501, 'agents do not measure yet', 'not-available')));
  const alert = await screen.findByRole('alert');
  expect(alert.textContent).toContain('does not answer that yet');
  expect(alert.textContent).toContain('agents do not measure yet');
});

it('keeps old data beside a newer error', async () => {
  const queries = show(() => Promise.reject(refused(500, 'not now', 'refused')), ['a', 'b']);
  void queries.invalidateQueries();
  expect((await screen.findByRole('alert')).textContent).toContain('not now');
  expect(screen.getByText('2 rows')).toBeTruthy();
});

it('shows that it is loading without taking it for anything else', () => {
  show(() => new Promise(() => undefined));
  expect(screen.getByRole('status', { name: 'Loading' })).toBeTruthy();
});
