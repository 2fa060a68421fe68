/** Instances as a table, wherever some of them are shown. */
import { Link } from '@tanstack/react-router';
import type { InstanceRow } from '../api/documents';
import { type Column, parseSort, Rows } from '../look/rows';
import { markOfInstance, StatusMark } from '../look/status';
import { instanceSlug, visible } from '../look/text';

const COLUMNS: Column<InstanceRow>[] = [
  {
    id: 'id',
    head: 'Instance',
    width: 'minmax(8rem,1fr)',
    phone: 'lead',
    by: (row) => row.id,
    cell: (row) => (
      <Link
        to="/instances/$instance"
        params={{ instance: instanceSlug(row.id) }}
        className="link font-medium"
      >
        {visible(row.id)}
      </Link>
    ),
  },
  {
    id: 'state',
    head: 'State',
    width: '7rem',
    phone: 'side',
    by: markOfInstance,
    cell: (row) => <StatusMark mark={markOfInstance(row)} />,
  },
  {
    id: 'node',
    head: 'Node',
    width: 'minmax(7rem,1fr)',
    by: (row) => row.node,
    cell: (row) => (
      <Link to="/nodes/$node" params={{ node: row.node }} className="link">
        {visible(row.node)}
      </Link>
    ),
  },
  {
    id: 'address',
    head: 'Address',
    width: 'minmax(8rem,1fr)',
    phone: 'none',
    cell: (row) => <span className="code">{visible(row.address ?? '')}</span>,
  },
  {
    id: 'note',
    head: 'Note',
    width: 'minmax(8rem,2fr)',
    cell: (row) => (
      <span className="text-muted">
        {row.stranger ? 'nobody ordered it there. ' : ''}
        {typeof row.outdated === 'string'
          ? visible(row.outdated)
          : row.outdated
            ? 'runs an older declaration. '
            : ''}
        {visible(row.message ?? '')}
      </span>
    ),
  },
];

export function InstanceRows({
  rows,
  label,
  sort,
  onSort,
  without,
}: {
  rows: InstanceRow[];
  label: string;
  sort?: string | undefined;
  onSort?: (sort: string) => void;
  without?: 'node';
}) {
  const columns = without ? COLUMNS.filter((column) => column.id !== without) : COLUMNS;
  return (
    <div className="panel">
      <Rows
        label={label}
        rows={rows}
        columns={columns}
        keyOf={(row) => `${row.id}@${row.node}`}
        sort={parseSort(sort)}
        {...(onSort ? { onSort } : {})}
      />
    </div>
  );
}
