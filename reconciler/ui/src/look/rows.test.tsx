/** Tables: order, sorting, and how much of a long one is in the page. */
import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';
import { type Column, parseSort, Rows, sorted } from './rows';

interface Row {
  name: string;
  size: number;
}

const COLUMNS: Column<Row>[] = [
  { id: 'name', head: 'Name', width: '1fr', cell: (row) => row.name, by: (row) => row.name },
  { id: 'size', head: 'Size', width: '1fr', cell: (row) => row.size, by: (row) => row.size },
];

const ROWS = [
  { name: 'node-10', size: 2 },
  { name: 'node-9', size: 10 },
  { name: 'node-1', size: 9 },
];

it('sorts names by their numbers, and numbers as numbers', () => {
  const names = (sort: string) => sorted(ROWS, COLUMNS, parseSort(sort)).map((row) => row.name);
  expect(names('name')).toEqual(['node-1', 'node-9', 'node-10']);
  expect(names('-size')).toEqual(['node-9', 'node-1', 'node-10']);
  expect(names('nothing')).toEqual(['node-10', 'node-9', 'node-1']);
});

it('tells its order to who cannot see it, and turns it around', async () => {
  let asked = '';
  render(
    <Rows
      label="Nodes"
      rows={ROWS}
      columns={COLUMNS}
      keyOf={(row) => row.name}
      sort={parseSort('name')}
      onSort={(sort) => {
        asked = sort;
      }}
    />,
  );
  expect(screen.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort')).toBe(
    'ascending',
  );
  await userEvent.click(screen.getByRole('button', { name: 'Name' }));
  expect(asked).toBe('-name');
  const cells = within(screen.getByRole('table')).getAllByRole('cell');
  expect(cells[0]?.textContent).toBe('node-1');
});

it('says how many rows there are, and puts at most a hundred of them into the page', () => {
  const many = Array.from({ length: 10_000 }, (_, index) => ({ name: `n${index}`, size: index }));
  render(<Rows label="Many" rows={many} columns={COLUMNS} keyOf={(row) => row.name} />);
  expect(screen.getByRole('table').getAttribute('aria-rowcount')).toBe('10001');
  expect(screen.getAllByRole('row').length).toBeLessThan(100);
});
