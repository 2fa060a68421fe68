/** Every service: how many of it are wanted and well, and what the others wait for. Draws `GET /services`. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ServiceRow } from '../api/documents';
import { useAddress, useAddressSetter } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Command } from '../look/copy';
import { Choice, Filter, matches } from '../look/filter';
import { PageFrame } from '../look/page';
import { type Column, parseSort, Rows } from '../look/rows';
import { markOfInstance, Shape, StatusMark } from '../look/status';
import { instanceSlug, visible } from '../look/text';
import { markOfService } from '../overview/data';
import { servicesQuery } from './data';

/** One sentence on what is not as declared; nothing where all is. */
export function noteOf(service: ServiceRow): string {
  const first = service.waiting?.[0];
  if (first) return `${first.instance}: ${first.reason}`;
  const told = service.instances.find((row) => row.message && markOfInstance(row) !== 'healthy');
  if (told) return `${told.id}: ${told.message}`;
  const missing = service.desired - service.instances.length;
  return missing > 0 ? `${missing} of ${service.desired} not placed or not started` : '';
}

/** More marks than this say less than their number. */
const MOST_MARKS = 8;

function InstanceMarks({ service }: { service: ServiceRow }) {
  return (
    <span className="inline-flex items-center gap-1">
      {service.instances.slice(0, MOST_MARKS).map((row) => (
        <Link
          key={`${row.id}@${row.node}`}
          to="/instances/$instance"
          params={{ instance: instanceSlug(row.id) }}
          className="inline-flex size-6 items-center justify-center rounded hover:bg-sunken"
          title={`${row.id} on ${row.node}: ${markOfInstance(row)}`}
        >
          <Shape
            mark={markOfInstance(row)}
            title={`${row.id} on ${row.node}: ${markOfInstance(row)}`}
          />
        </Link>
      ))}
      {service.instances.length > MOST_MARKS ? (
        <span className="text-muted">+{service.instances.length - MOST_MARKS}</span>
      ) : null}
    </span>
  );
}

const COLUMNS: Column<ServiceRow>[] = [
  {
    id: 'name',
    head: 'Service',
    width: 'minmax(8rem,1.2fr)',
    phone: 'lead',
    by: (row) => row.name,
    cell: (row) => (
      <Link to="/services/$service" params={{ service: row.name }} className="link font-medium">
        {visible(row.name)}
      </Link>
    ),
  },
  {
    id: 'status',
    head: 'Status',
    width: '7rem',
    phone: 'side',
    by: markOfService,
    cell: (row) => <StatusMark mark={markOfService(row)} />,
  },
  {
    id: 'healthy',
    head: 'Healthy',
    width: '5rem',
    right: true,
    by: (row) => row.healthy / Math.max(1, row.desired),
    cell: (row) => (
      <span>
        {row.healthy.toLocaleString('en')}/{row.desired.toLocaleString('en')}
        <span className="sm:hidden"> healthy</span>
      </span>
    ),
  },
  {
    id: 'form',
    head: 'Form',
    width: 'minmax(6rem,.8fr)',
    phone: 'none',
    by: (row) => row.component ?? row.form ?? '',
    cell: (row) => (
      <span className="text-muted">
        {row.component
          ? `${visible(row.component)} ${visible(row.version ?? '')}`
          : visible(row.form ?? '')}
      </span>
    ),
  },
  {
    id: 'instances',
    head: 'Instances',
    width: 'minmax(7rem,1fr)',
    phone: 'none',
    cell: (row) => <InstanceMarks service={row} />,
  },
  {
    id: 'note',
    head: 'Why not',
    width: 'minmax(8rem,2fr)',
    cell: (row) => (
      <span className="text-muted" title={visible(noteOf(row))}>
        {visible(noteOf(row))}
      </span>
    ),
  },
];

const STATES: [string, string][] = [
  ['any', 'any'],
  ['not-well', 'not well'],
  ['healthy', 'healthy'],
  ['waiting', 'waiting'],
  ['unknown', 'unknown'],
];

export function ServicesPage() {
  const services = useQuery(servicesQuery);
  const address = useAddress();
  const set = useAddressSetter();
  const words = address.q ?? '';
  const state = address.state ?? 'any';
  return (
    <PageFrame
      title="Services"
      acts={
        <Link to="/catalog" className="button">
          From the catalog
        </Link>
      }
    >
      <Answer query={services}>
        {(rows) => {
          if (rows.length === 0) return <NoServices />;
          const shown = rows.filter((row) => {
            const mark = markOfService(row);
            const fits =
              state === 'any' ||
              mark === state ||
              (state === 'not-well' && mark !== 'healthy' && mark !== 'completed');
            return (
              fits &&
              matches(words, [
                row.name,
                mark,
                row.component,
                ...row.instances.map((one) => one.node),
              ])
            );
          });
          return (
            <>
              <div className="mb-3 flex flex-wrap items-center gap-3">
                <Filter
                  value={words}
                  label="Filter services"
                  shown={shown.length}
                  of={rows.length}
                />
                <Choice
                  label="state"
                  value={state}
                  options={STATES}
                  onChoose={(value) => set({ state: value === 'any' ? undefined : value })}
                />
              </div>
              {shown.length === 0 ? (
                <Empty title="No service matches">
                  <p>Clear the filter to see all {rows.length}.</p>
                </Empty>
              ) : (
                <div className="panel">
                  <Rows
                    label="Services"
                    rows={shown}
                    columns={COLUMNS}
                    keyOf={(row) => row.name}
                    sort={parseSort(address.sort)}
                    onSort={(sort) => set({ sort })}
                  />
                </div>
              )}
            </>
          );
        }}
      </Answer>
    </PageFrame>
  );
}

function NoServices() {
  return (
    <Empty title="No service is declared">
      <p className="mb-2">
        Services stand in the cluster file, and run once a commit with them is applied. Take one
        from the{' '}
        <Link to="/catalog" className="link">
          catalog
        </Link>
        , or begin a file:
      </p>
      <Command line="devnet init" />
    </Empty>
  );
}
