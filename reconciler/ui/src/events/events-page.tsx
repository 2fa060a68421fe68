/** What happened, newest first, live. Draws `GET /events`. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Event } from '../api/documents';
import { useAddress, useAddressSetter } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Choice, Filter, matches } from '../look/filter';
import { PageFrame } from '../look/page';
import { type Column, Rows } from '../look/rows';
import { shortSubject, visible } from '../look/text';
import { Age } from '../look/time';
import { eventsQuery } from './data';

const KINDS = ['commit', 'plan', 'apply', 'node', 'instance', 'sync', 'secret', 'auth'];

const COLUMNS: Column<Event>[] = [
  {
    id: 'at',
    head: 'Age',
    width: '3.5rem',
    phone: 'line',
    right: true,
    cell: (event) => <Age at={event.at} />,
  },
  {
    id: 'kind',
    head: 'Kind',
    width: '6rem',
    phone: 'line',
    cell: (event) => <span className="chip">{visible(event.kind)}</span>,
  },
  {
    id: 'subject',
    head: 'About',
    width: 'minmax(8rem,1fr)',
    phone: 'none',
    cell: (event) => (
      <span className="code" title={visible(event.subject)}>
        {visible(shortSubject(event.subject))}
      </span>
    ),
  },
  {
    id: 'message',
    head: 'What',
    width: 'minmax(10rem,4fr)',
    phone: 'lead',
    cell: (event) => <span title={visible(event.message)}>{visible(event.message)}</span>,
  },
  {
    id: 'by',
    head: 'By',
    width: '7rem',
    phone: 'none',
    cell: (event) => <span className="text-muted">{visible(event.by ?? '')}</span>,
  },
];

export function EventsPage() {
  const address = useAddress();
  const set = useAddressSetter();
  const kind = address.kind ?? '';
  const words = address.q ?? '';
  const events = useQuery(eventsQuery({ kind, q: '' }));
  return (
    <PageFrame
      title="Events"
      acts={
        <Link to="/audit" className="button">
          Audit
        </Link>
      }
    >
      <Answer query={events} rows={10}>
        {(page) => {
          // Also here: a control plane that does not filter answers everything.
          const shown = page.items.filter(
            (event) =>
              (kind === '' || event.kind === kind) &&
              matches(words, [event.subject, event.message, event.by, event.kind]),
          );
          const oldest = page.items[page.items.length - 1];
          return (
            <>
              <div className="mb-3 flex flex-wrap items-center gap-3">
                <Filter
                  value={words}
                  label="Filter events"
                  shown={shown.length}
                  of={page.items.length}
                />
                <Choice
                  label="kind"
                  value={kind}
                  options={[['', 'any'], ...KINDS.map((one): [string, string] => [one, one])]}
                  onChoose={(value) => set({ kind: value === '' ? undefined : value })}
                />
              </div>
              {shown.length === 0 ? (
                <Empty
                  title={page.items.length === 0 ? 'Nothing has happened yet' : 'No event matches'}
                >
                  {oldest ? (
                    <p>
                      Of the {page.items.length} newest, back to{' '}
                      <Age at={oldest.at} suffix=" ago" />.
                    </p>
                  ) : null}
                </Empty>
              ) : (
                <div className="panel">
                  <Rows
                    label="Events"
                    rows={shown}
                    columns={COLUMNS}
                    keyOf={(event) => String(event.seq)}
                  />
                </div>
              )}
              {page.next && shown.length > 0 && oldest ? (
                <p className="mt-2 text-muted">
                  The {page.items.length} newest, back to <Age at={oldest.at} suffix=" ago" />.
                  Older ones: <span className="code">devnet get events</span>
                </p>
              ) : null}
            </>
          );
        }}
      </Answer>
    </PageFrame>
  );
}
