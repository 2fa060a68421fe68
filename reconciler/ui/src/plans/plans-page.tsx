/** Plans that were made, newest first, and making one. Draws `GET /plans`. */
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import type { PlanRow } from '../api/documents';
import { Act } from '../look/act';
import { useAddress, useAddressSetter } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Command } from '../look/copy';
import { Filter, matches } from '../look/filter';
import { PageFrame } from '../look/page';
import { ProblemView } from '../look/problem-view';
import { type Column, parseSort, Rows } from '../look/rows';
import { StatusMark } from '../look/status';
import { short, visible } from '../look/text';
import { Age } from '../look/time';
import { makePlan, plansQuery } from './data';
import { SummaryMarks } from './summary';

function Verdict({ row }: { row: PlanRow }) {
  if (row.applicable === false)
    return <StatusMark mark="failed" word={`${row.errors ?? 0} errors`} />;
  if ((row.unplaced ?? 0) > 0)
    return <StatusMark mark="waiting" word={`${row.unplaced} unplaced`} />;
  return null;
}

const COLUMNS: Column<PlanRow>[] = [
  {
    id: 'id',
    head: 'Plan',
    width: 'minmax(7rem,1fr)',
    phone: 'lead',
    cell: (row) => (
      <Link to="/plans/$plan" params={{ plan: row.id }} className="link code">
        {short(row.id)}
      </Link>
    ),
  },
  {
    id: 'summary',
    head: 'Changes',
    width: 'minmax(14rem,2fr)',
    phone: 'line',
    cell: (row) => <SummaryMarks summary={row.summary} />,
  },
  {
    id: 'verdict',
    head: 'Verdict',
    hidden: true,
    width: 'minmax(7rem,1fr)',
    phone: 'side',
    cell: (row) => <Verdict row={row} />,
  },
  {
    id: 'revision',
    head: 'Of commit',
    width: '7rem',
    by: (row) => row.revision,
    cell: (row) => <span className="code">{short(row.revision)}</span>,
  },
  {
    id: 'by',
    head: 'By',
    width: 'minmax(6rem,1fr)',
    by: (row) => row.by,
    cell: (row) => visible(row.by),
  },
  {
    id: 'made',
    head: 'Made',
    width: '6rem',
    by: (row) => -Date.parse(row.created_at),
    right: true,
    cell: (row) => <Age at={row.created_at} suffix=" ago" />,
  },
];

export function PlansPage() {
  const plans = useQuery(plansQuery);
  const address = useAddress();
  const set = useAddressSetter();
  const navigate = useNavigate();
  const make = useMutation({
    mutationFn: () => makePlan({}),
    onSuccess: (plan) => void navigate({ to: '/plans/$plan', params: { plan: plan.id } }),
  });
  const words = address.q ?? '';
  return (
    <PageFrame
      title="Plans"
      acts={
        <Act needs="planner" look="button-main" busy={make.isPending} onAct={() => make.mutate()}>
          {make.isPending ? 'Planning…' : 'Plan the newest commit'}
        </Act>
      }
    >
      {make.error ? (
        <div className="mb-3">
          <ProblemView error={make.error} />
        </div>
      ) : null}
      <Answer query={plans} rows={8}>
        {(rows) => {
          if (rows.length === 0) {
            return (
              <Empty title="No plan has been made">
                <p className="mb-2">The loop makes one with each commit. From a checkout:</p>
                <Command line="devnet plan" />
              </Empty>
            );
          }
          const shown = rows.filter((row) => matches(words, [row.id, row.revision, row.by]));
          return (
            <>
              <div className="mb-3">
                <Filter value={words} label="Filter plans" shown={shown.length} of={rows.length} />
              </div>
              <div className="panel">
                <Rows
                  label="Plans"
                  rows={shown}
                  columns={COLUMNS}
                  keyOf={(row) => row.id}
                  sort={parseSort(address.sort)}
                  onSort={(sort) => set({ sort })}
                />
              </div>
            </>
          );
        }}
      </Answer>
    </PageFrame>
  );
}
