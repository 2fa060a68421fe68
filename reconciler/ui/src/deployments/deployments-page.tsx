/** Runs of plans, newest first. Draws `GET /deployments`. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Deployment } from '../api/documents';
import { span } from '../look/amount';
import { Answer, Empty } from '../look/answer';
import { PageFrame } from '../look/page';
import { type Column, Rows } from '../look/rows';
import { markOfDeployment, StatusMark } from '../look/status';
import { short, shortRun, visible } from '../look/text';
import { Age } from '../look/time';
import { SummaryMarks } from '../plans/summary';
import { deploymentsQuery } from './data';

const COLUMNS: Column<Deployment>[] = [
  {
    id: 'id',
    head: 'Deployment',
    width: 'minmax(7rem,1fr)',
    phone: 'lead',
    cell: (row) => (
      <Link to="/deployments/$deployment" params={{ deployment: row.id }} className="link code">
        {shortRun(row.id)}
      </Link>
    ),
  },
  {
    id: 'state',
    head: 'State',
    width: '8rem',
    phone: 'side',
    cell: (row) => <StatusMark mark={markOfDeployment(row.state)} word={row.state} />,
  },
  {
    id: 'summary',
    head: 'Changes',
    width: 'minmax(12rem,2fr)',
    cell: (row) => <SummaryMarks summary={row.summary} />,
  },
  {
    id: 'why',
    head: 'Why not whole',
    width: 'minmax(8rem,2fr)',
    phone: 'none',
    cell: (row) => (
      <span className="text-muted" title={visible(row.errors.join('; '))}>
        {visible(row.errors.join('; '))}
      </span>
    ),
  },
  {
    id: 'plan',
    head: 'Plan',
    width: '6rem',
    phone: 'none',
    cell: (row) => (
      <Link to="/plans/$plan" params={{ plan: row.plan }} className="link code">
        {short(row.plan)}
      </Link>
    ),
  },
  { id: 'by', head: 'By', width: '6rem', cell: (row) => visible(row.by) },
  {
    id: 'took',
    head: 'Took',
    width: '4.5rem',
    phone: 'none',
    right: true,
    cell: (row) =>
      row.ended_at ? span(Date.parse(row.ended_at) - Date.parse(row.started_at)) : '',
  },
  {
    id: 'at',
    head: 'Began',
    width: '6rem',
    right: true,
    cell: (row) => <Age at={row.started_at} suffix=" ago" />,
  },
];

export function DeploymentsPage() {
  const deployments = useQuery(deploymentsQuery);
  return (
    <PageFrame title="Deployments">
      <Answer query={deployments} rows={8}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="Nothing was deployed yet">
              <p>
                A deployment is a run of a{' '}
                <Link to="/plans" className="link">
                  plan
                </Link>
                .
              </p>
            </Empty>
          ) : (
            <div className="panel">
              <Rows label="Deployments" rows={rows} columns={COLUMNS} keyOf={(row) => row.id} />
            </div>
          )
        }
      </Answer>
    </PageFrame>
  );
}
