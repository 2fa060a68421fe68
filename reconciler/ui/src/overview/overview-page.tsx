/** Is it as declared, and if not, why? Problems come first. Draws `GET /status`. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Deployment, Status } from '../api/documents';
import { EventLines } from '../events/event-lines';
import { cores, megabytes } from '../look/amount';
import { Answer, Empty } from '../look/answer';
import { Command } from '../look/copy';
import { Meter } from '../look/meter';
import { PageFrame, Panel } from '../look/page';
import { DiagnosticList } from '../look/problem-view';
import { type Mark, markOfDeployment, markOfNode, Shape, StatusMark } from '../look/status';
import { short, shortRun, visible } from '../look/text';
import { Age } from '../look/time';
import { SummaryMarks } from '../plans/summary';
import {
  count,
  type Look,
  markOfService,
  needsALook,
  newestEventsQuery,
  statusQuery,
} from './data';
import { SyncButton } from './sync-button';

export function OverviewPage() {
  const status = useQuery(statusQuery);
  return (
    <PageFrame title="Overview" acts={status.data?.source ? <SyncButton /> : null}>
      <Answer query={status} rows={8}>
        {(data) => <Body status={data} />}
      </Answer>
    </PageFrame>
  );
}

function Body({ status }: { status: Status }) {
  const looks = needsALook(status);
  const begun = status.nodes.length > 0 && status.services.length > 0;
  return (
    <>
      <Problems status={status} />
      {begun ? null : <FirstSteps status={status} />}
      <div className="mb-3 grid gap-3 lg:grid-cols-3">
        <Tally
          title="Nodes"
          to="/nodes"
          total={status.nodes.length}
          marks={count(status.nodes, markOfNode)}
        />
        <Tally
          title="Services"
          to="/services"
          total={status.services.length}
          marks={count(status.services, markOfService)}
        />
        <SourcePanel status={status} />
      </div>
      <CapacityBars status={status} />
      <div className="grid gap-x-3 lg:grid-cols-[3fr_2fr]">
        <div className="min-w-0">
          {status.deployment ? <DeploymentLine deployment={status.deployment} /> : null}
          <Panel title="Needs a look" flush>
            {looks.length === 0 ? (
              <p className="px-3 py-4 text-muted">
                {begun
                  ? 'Nothing: everything declared is there and healthy.'
                  : 'Nothing is declared yet.'}
              </p>
            ) : (
              <ul aria-label="Needs a look">
                {looks.slice(0, 50).map((look) => (
                  <LookRow key={look.id} look={look} />
                ))}
              </ul>
            )}
            {looks.length > 50 ? (
              <p className="px-3 py-2 text-muted">and {looks.length - 50} more, under Services.</p>
            ) : null}
          </Panel>
        </div>
        <NewestEvents />
      </div>
    </>
  );
}

function Problems({ status }: { status: Status }) {
  const source = status.source;
  const problem = source?.problem;
  const invalid = (source?.diagnostics.length ?? 0) > 0;
  return (
    <>
      {(status.problems ?? []).map((text) => (
        <div key={text} role="alert" className="panel mb-3 border-bad p-3">
          <StatusMark mark="failed" word="The control plane itself" />
          <p>{visible(text)}</p>
        </div>
      ))}
      {source && problem ? (
        <div
          data-problem
          className={`panel mb-3 p-3 ${invalid ? 'border-bad bg-bad-soft' : 'bg-warn-soft'}`}
        >
          <div className="flex items-center gap-2 font-semibold">
            <Shape mark={invalid ? 'failed' : 'waiting'} />
            {source.seen ? (
              <span>
                commit <span className="code">{short(source.seen)}</span>
                {invalid ? ' is not applied' : ' is not wholly there'}
              </span>
            ) : (
              <span>The source cannot be read</span>
            )}
          </div>
          <p className="mt-1 whitespace-pre-wrap">{visible(problem)}</p>
          <div className="mt-1">
            <DiagnosticList items={source.diagnostics} />
          </div>
          {invalid && source.applied ? (
            <p className="mt-2">
              Commit <span className="code">{short(source.applied)}</span> runs on meanwhile.
            </p>
          ) : null}
        </div>
      ) : null}
      {status.held ? (
        <div className="panel mb-3 bg-warn-soft p-3">
          <StatusMark mark="waiting" word="Held" />
          <p>{visible(status.held)}</p>
        </div>
      ) : null}
    </>
  );
}

function FirstSteps({ status }: { status: Status }) {
  const done = [
    status.nodes.length > 0,
    status.source !== null && status.source !== undefined,
    false,
  ];
  return (
    <Panel title="Three steps to a first service">
      <ol className="grid gap-4 lg:grid-cols-3" data-empty>
        <li>
          <h3>
            <StatusMark mark={done[0] ? 'completed' : 'waiting'} word="1 Let a node join" />
          </h3>
          <p className="mb-2 text-muted">A machine with an agent, which runs what you declare.</p>
          <Link to="/nodes/add" className="button">
            Add a node
          </Link>
        </li>
        <li>
          <h3>
            <StatusMark mark={done[1] ? 'completed' : 'waiting'} word="2 Commit a cluster file" />
          </h3>
          <p className="mb-2 text-muted">In a repository that the control plane follows.</p>
          <Command line="devnet init && git commit -am 'Declare the first service'" />
        </li>
        <li>
          <h3>
            <StatusMark mark="waiting" word="3 See it run" />
          </h3>
          <p className="mb-2 text-muted">It appears here by itself once it is planned.</p>
          <Command line="devnet status" />
        </li>
      </ol>
    </Panel>
  );
}

function Tally({
  title,
  to,
  total,
  marks,
}: {
  title: string;
  to: string;
  total: number;
  marks: [Mark, number][];
}) {
  return (
    <Link to={to} className="panel block p-3 hover:border-line-strong" data-tally={title}>
      <div className="mb-1 flex items-baseline gap-2">
        <span className="text-2xl font-semibold">{total.toLocaleString('en')}</span>
        <h2>{title}</h2>
      </div>
      <div className="flex flex-wrap gap-x-4 gap-y-1">
        {marks.map(([mark, number]) => (
          <StatusMark key={mark} mark={mark} word={`${number.toLocaleString('en')} ${mark}`} />
        ))}
        {marks.length === 0 ? <span className="text-muted">none yet</span> : null}
      </div>
    </Link>
  );
}

function SourcePanel({ status }: { status: Status }) {
  const source = status.source;
  return (
    <div className="panel p-3">
      <h2 className="mb-1">Follows</h2>
      {source ? (
        <div className="space-y-0.5">
          <div className="truncate">
            <span className="code">{visible(source.location)}</span>{' '}
            <span className="text-muted">({visible(source.branch)})</span>
          </div>
          <div>
            seen <span className="code">{source.seen ? short(source.seen) : 'nothing'}</span> ·
            applied{' '}
            <span className="code">{source.applied ? short(source.applied) : 'nothing'}</span>
          </div>
        </div>
      ) : (
        <p className="text-muted">No source: plans are made by hand, and nothing is followed.</p>
      )}
    </div>
  );
}

function CapacityBars({ status }: { status: Status }) {
  const known = status.nodes.filter((node) => node.room);
  if (known.length === 0) return null;
  const bars = [
    ['cpu', 'cpu_milli', cores],
    ['memory', 'memory_mb', megabytes],
    ['disk', 'disk_mb', megabytes],
  ] as const;
  return (
    <Panel title="Room">
      <div className="grid gap-4 sm:grid-cols-3">
        {bars.map(([name, field, text]) => {
          const rooms = known.flatMap((node) => node.room?.[field] ?? []);
          const sum = (of: 'whole' | 'placed' | 'reserved') =>
            rooms.reduce((total, room) => total + room[of], 0);
          return (
            <Meter
              key={name}
              label={name}
              whole={sum('whole')}
              parts={[
                { amount: sum('placed'), name: 'placed', kind: 'placed' },
                { amount: sum('reserved'), name: 'reserved', kind: 'reserved' },
              ]}
              text={`${text(sum('placed'))} of ${text(sum('whole'))}`}
            />
          );
        })}
      </div>
      {known.length < status.nodes.length ? (
        <p className="mt-2 text-muted">
          Of {known.length} of {status.nodes.length} nodes; the others have not said.
        </p>
      ) : null}
    </Panel>
  );
}

function DeploymentLine({ deployment }: { deployment: Deployment }) {
  const running = deployment.state === 'running';
  return (
    <Panel
      title={running ? 'Running' : 'Newest deployment'}
      acts={
        <Link
          to="/deployments/$deployment"
          params={{ deployment: deployment.id }}
          className="button button-small"
        >
          Open
        </Link>
      }
    >
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <StatusMark mark={markOfDeployment(deployment.state)} word={deployment.state} />
        <span className="code">{shortRun(deployment.id)}</span>
        <SummaryMarks summary={deployment.summary} />
        <span className="text-muted">
          by {visible(deployment.by)}, <Age at={deployment.started_at} suffix=" ago" />
        </span>
      </div>
      {deployment.errors.map((error) => (
        <p key={error} className="mt-1 whitespace-pre-wrap text-muted">
          {visible(error)}
        </p>
      ))}
    </Panel>
  );
}

function LookRow({ look }: { look: Look }) {
  return (
    <li
      data-row={look.id}
      className="data-row flex flex-wrap items-center gap-x-3 px-3 py-1.5 last:border-b-0"
    >
      <span className="w-28">
        <StatusMark mark={look.mark} />
      </span>
      <Link to={look.to} className="link font-medium sm:min-w-32">
        {visible(look.name)}
      </Link>
      <span className="min-w-0 flex-1 basis-full text-muted sm:basis-auto">
        {visible(look.why)}
      </span>
      {look.at ? (
        <span className="text-muted">
          <Age at={look.at} />
        </span>
      ) : null}
    </li>
  );
}

function NewestEvents() {
  const events = useQuery(newestEventsQuery);
  return (
    <Panel
      title="Newest events"
      flush
      acts={
        <Link to="/events" className="button button-small">
          All
        </Link>
      }
    >
      <Answer query={events}>
        {(page) =>
          page.items.length === 0 ? (
            <div className="p-2">
              <Empty title="Nothing has happened yet" />
            </div>
          ) : (
            <EventLines events={page.items} />
          )
        }
      </Answer>
    </Panel>
  );
}
