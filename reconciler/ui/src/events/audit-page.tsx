/** Who did what, refused acts too. Draws `GET /audit`, which is for admins. */
import { useQuery } from '@tanstack/react-query';
import { useAddress } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Filter, matches } from '../look/filter';
import { PageFrame } from '../look/page';
import { type Column, Rows } from '../look/rows';
import { StatusMark } from '../look/status';
import { visible } from '../look/text';
import { Age } from '../look/time';
import { type AuditRow, auditQuery } from './data';

const told = (value: unknown) =>
  value === undefined || value === null
    ? ''
    : typeof value === 'string'
      ? value
      : JSON.stringify(value);

function Outcome({ row }: { row: AuditRow }) {
  if (typeof row.outcome === 'string') return visible(row.outcome);
  const refused = row.outcome >= 400;
  return (
    <StatusMark
      mark={refused ? 'failed' : 'completed'}
      word={refused ? `refused (${row.outcome})` : 'done'}
    />
  );
}

const COLUMNS: Column<AuditRow>[] = [
  { id: 'at', head: 'Age', width: '3.5rem', right: true, cell: (row) => <Age at={row.at} /> },
  {
    id: 'actor',
    head: 'Who',
    width: 'minmax(7rem,1fr)',
    phone: 'lead',
    cell: (row) => (
      <span>
        {visible(row.actor)} <span className="text-muted">{visible(row.role ?? '')}</span>
      </span>
    ),
  },
  {
    id: 'action',
    head: 'Did',
    width: 'minmax(8rem,1.5fr)',
    cell: (row) => <span className="code">{visible(row.action)}</span>,
  },
  {
    id: 'subject',
    head: 'To',
    width: 'minmax(7rem,1fr)',
    cell: (row) => <span className="code">{visible(row.subject ?? '')}</span>,
  },
  {
    id: 'outcome',
    head: 'Outcome',
    width: 'minmax(6rem,1fr)',
    phone: 'side',
    cell: (row) => <Outcome row={row} />,
  },
  {
    id: 'change',
    head: 'Before and after',
    width: 'minmax(8rem,1.5fr)',
    phone: 'none',
    cell: (row) => (
      <span className="code">
        {visible([told(row.before), told(row.after)].filter(Boolean).join(' → '))}
      </span>
    ),
  },
  {
    id: 'from',
    head: 'From',
    width: '8rem',
    phone: 'none',
    cell: (row) => <span className="code">{visible(row.from ?? '')}</span>,
  },
];

export function AuditPage() {
  const audit = useQuery(auditQuery);
  const words = useAddress().q ?? '';
  return (
    <PageFrame title="Audit" crumbs={[{ to: '/events', name: 'Events' }]}>
      <Answer query={audit} rows={10}>
        {(rows) => {
          const shown = rows.filter((row) =>
            matches(words, [row.actor, row.action, row.subject, String(row.outcome)]),
          );
          return (
            <>
              <div className="mb-3">
                <Filter
                  value={words}
                  label="Filter the audit log"
                  shown={shown.length}
                  of={rows.length}
                />
              </div>
              {shown.length === 0 ? (
                <Empty title={rows.length === 0 ? 'Nobody did anything yet' : 'Nothing matches'} />
              ) : (
                <div className="panel">
                  <Rows
                    label="Audit"
                    rows={shown}
                    columns={COLUMNS}
                    keyOf={(row) => String(row.seq)}
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
