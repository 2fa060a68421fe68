/** The same as the pictures, as a table. */
import { Link } from '@tanstack/react-router';
import type { ServiceRow } from '../api/documents';
import { type Column, Rows } from '../look/rows';
import { StatusMark } from '../look/status';
import { visible } from '../look/text';
import { markOfService } from '../overview/data';

const list = (names: string[] | undefined) =>
  names === undefined ? 'not told' : names.join(', ') || 'nothing';

const COLUMNS: Column<ServiceRow>[] = [
  {
    id: 'name',
    head: 'Service',
    width: 'minmax(7rem,1fr)',
    phone: 'lead',
    cell: (row) => (
      <Link to="/services/$service" params={{ service: row.name }} className="link font-medium">
        {visible(row.name)}
      </Link>
    ),
  },
  {
    id: 'state',
    head: 'Status',
    width: '8rem',
    phone: 'side',
    cell: (row) => <StatusMark mark={markOfService(row)} />,
  },
  {
    id: 'nodes',
    head: 'On',
    width: 'minmax(8rem,2fr)',
    cell: (row) => visible(row.instances.map((one) => one.node).join(', ') || 'no node'),
  },
  {
    id: 'depends',
    head: 'Depends on',
    width: 'minmax(7rem,1fr)',
    cell: (row) => visible(list(row.depends_on)),
  },
  {
    id: 'near',
    head: 'Near',
    width: 'minmax(5rem,1fr)',
    phone: 'none',
    cell: (row) => visible(list(row.near)),
  },
  {
    id: 'apart',
    head: 'Apart from',
    width: 'minmax(5rem,1fr)',
    phone: 'none',
    cell: (row) => visible(list(row.apart_from)),
  },
];

export function MapTable({ services }: { services: ServiceRow[] }) {
  return (
    <div className="panel">
      <Rows
        label="Services, where they are and what they depend on"
        rows={services}
        columns={COLUMNS}
        keyOf={(row) => row.name}
      />
    </div>
  );
}
