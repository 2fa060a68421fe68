/**
 * How far a run of a plan is, what blocks the rest, what was said. Draws `GET /deployments/ID` and its
 * steps, live.
 */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { Deployment, StepRow } from '../api/documents';
import { asApiError } from '../api/problem';
import { UnitView } from '../instances/unit-view';
import { LogView } from '../logs/log-view';
import { Act } from '../look/act';
import { useAddress, useAddressSetter, usePathPart } from '../look/address';
import { bytes, clock, span } from '../look/amount';
import { Answer, Empty } from '../look/answer';
import { Progress } from '../look/meter';
import { PageFrame, Panel } from '../look/page';
import { type Mark, markOfDeployment, Shape, StatusMark } from '../look/status';
import { instanceSlug, plural, short, shortRun, visible } from '../look/text';
import { Age, useNow } from '../look/time';
import { tell } from '../look/toast';
import { SummaryMarks } from '../plans/summary';
import { cancelDeployment, deploymentQuery, lanesOf, stepsQuery } from './data';

const MARKS: Record<string, Mark> = {
  waiting: 'waiting',
  running: 'running',
  succeeded: 'completed',
  done: 'completed',
  failed: 'failed',
  'not-run': 'not-run',
  'not run': 'not-run',
};

const markOf = (step: StepRow): Mark => MARKS[step.state] ?? 'unknown';

export function DeploymentPage() {
  const id = usePathPart('deployment');
  const deployment = useQuery(deploymentQuery(id));
  return (
    <PageFrame
      title={`Deployment ${shortRun(id)}`}
      crumbs={[{ to: '/deployments', name: 'Deployments' }]}
      mark={
        deployment.data ? (
          <StatusMark mark={markOfDeployment(deployment.data.state)} word={deployment.data.state} />
        ) : null
      }
      acts={deployment.data ? <CancelButton deployment={deployment.data} /> : null}
    >
      <Answer query={deployment} rows={8}>
        {(data) => <Body deployment={data} />}
      </Answer>
    </PageFrame>
  );
}

function CancelButton({ deployment }: { deployment: Deployment }) {
  const queries = useQueryClient();
  const cancel = useMutation({
    mutationFn: () => cancelDeployment(deployment.id),
    onSuccess: () => {
      tell('What runs is finished; nothing more begins.');
      void queries.invalidateQueries({ queryKey: ['deployments'] });
    },
    onError: (error) => tell(asApiError(error).message),
  });
  if (deployment.state !== 'running') {
    return (
      <Link to="/plans/$plan" params={{ plan: deployment.plan }} className="button">
        Its plan
      </Link>
    );
  }
  return (
    <Act needs="editor" look="button-bad" busy={cancel.isPending} onAct={() => cancel.mutate()}>
      Cancel
    </Act>
  );
}

function Took({ deployment }: { deployment: Deployment }) {
  const now = useNow();
  const until = deployment.ended_at ? Date.parse(deployment.ended_at) : now;
  return <span data-took>{span(until - Date.parse(deployment.started_at))}</span>;
}

function Body({ deployment }: { deployment: Deployment }) {
  const steps = useQuery(stepsQuery(deployment));
  const address = useAddress();
  return (
    <>
      <Panel>
        <div className="flex flex-wrap items-center gap-x-5 gap-y-1">
          <SummaryMarks summary={deployment.summary} whole />
          <span>
            plan{' '}
            <Link to="/plans/$plan" params={{ plan: deployment.plan }} className="link code">
              {short(deployment.plan)}
            </Link>
          </span>
          <span>
            commit <span className="code">{short(deployment.revision)}</span>
          </span>
          <span className="text-muted">
            by {visible(deployment.by)}, <Age at={deployment.started_at} suffix=" ago" />,{' '}
            {deployment.ended_at ? 'took' : 'for'} <Took deployment={deployment} />
          </span>
        </div>
        {deployment.errors.length > 0 ? (
          <ul className="mt-2 space-y-1" aria-label="Errors">
            {deployment.errors.map((error) => (
              <li key={error} className="flex gap-2">
                <span className="mt-1">
                  <Shape mark={deployment.state === 'failed' ? 'failed' : 'waiting'} />
                </span>
                <span className="whitespace-pre-wrap">{visible(error)}</span>
              </li>
            ))}
          </ul>
        ) : null}
      </Panel>
      <Answer query={steps} rows={8}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="It has no steps" />
          ) : (
            <>
              <Panel>
                <Progress
                  label="steps done"
                  done={rows.filter((step) => markOf(step) === 'completed').length}
                  total={rows.length}
                />
              </Panel>
              <Lanes steps={rows} picked={address.step} />
              <StepView step={rows.find((row) => row.id === address.step)} />
            </>
          )
        }
      </Answer>
    </>
  );
}

function StepChip({
  step,
  picked,
  onPick,
}: {
  step: StepRow;
  picked: boolean;
  onPick: () => void;
}) {
  const mark = markOf(step);
  const amount =
    step.total && step.done !== undefined && step.done !== null && mark === 'running'
      ? ` ${bytes(step.done)} of ${bytes(step.total)}`
      : '';
  return (
    <button
      type="button"
      aria-pressed={picked}
      onClick={onPick}
      data-step={step.id}
      data-state={step.state}
      className={`tap inline-flex min-h-6 items-center gap-1.5 rounded border px-1.5 ${picked ? 'border-accent bg-accent-soft' : 'border-line bg-surface hover:border-line-strong'}`}
    >
      <Shape mark={mark} title={step.state} />
      {step.do}
      {amount}
    </button>
  );
}

function Lanes({ steps, picked }: { steps: StepRow[]; picked: string | undefined }) {
  const set = useAddressSetter();
  const lanes = lanesOf(steps);
  return (
    <Panel title="Lanes" flush>
      {lanes.map((lane) => (
        <section
          key={lane.node}
          aria-label={lane.node}
          className="grid border-b border-line last:border-b-0 sm:grid-cols-[9rem_1fr]"
        >
          <h3 className="px-3 py-2">{visible(lane.node)}</h3>
          <ul className="pb-1 sm:py-1">
            {lane.instances.map(([instance, row]) => {
              const blocked = row.find(
                (step) => step.state === 'waiting' && (step.blocked_by ?? []).length > 0,
              );
              const foreign = (blocked?.blocked_by ?? []).filter(
                (one) => !one.startsWith(`${instance}/`),
              );
              return (
                <li
                  key={instance}
                  className="flex flex-wrap items-center gap-x-2 gap-y-1 px-3 py-1"
                >
                  <span className="w-28 truncate font-medium">{visible(instance)}</span>
                  {row.map((step) => (
                    <StepChip
                      key={step.id}
                      step={step}
                      picked={step.id === picked}
                      onPick={() => set({ step: step.id })}
                    />
                  ))}
                  {foreign.length > 0 ? (
                    <span className="text-muted">
                      blocked by {visible(foreign.slice(0, 3).join(', '))}
                    </span>
                  ) : null}
                </li>
              );
            })}
          </ul>
        </section>
      ))}
    </Panel>
  );
}

function StepView({ step }: { step: StepRow | undefined }) {
  const [tab, setTab] = useState('said');
  if (!step) return <p className="text-muted">Choose a step to see what was said of it.</p>;
  const slug = instanceSlug(step.instance);
  return (
    <Panel
      title={
        <span className="inline-flex flex-wrap items-center gap-2">
          <StatusMark mark={markOf(step)} word={step.state} /> {visible(step.id)} on{' '}
          {visible(step.node)}
        </span>
      }
      acts={
        <span className="flex gap-1">
          {[
            ['said', 'Said'],
            ['unit', 'Unit'],
            ['log', 'Log'],
          ].map(([id, name]) => (
            <button
              key={id}
              type="button"
              className={`button button-small ${tab === id ? 'border-accent' : ''}`}
              aria-pressed={tab === id}
              onClick={() => setTab(id ?? 'said')}
            >
              {name}
            </button>
          ))}
        </span>
      }
    >
      {tab === 'unit' ? <UnitView instance={step.instance} /> : null}
      {tab === 'log' ? (
        <LogView path={`/instances/${encodeURIComponent(slug)}/logs`} many={false} />
      ) : null}
      {tab === 'said' ? <Said step={step} /> : null}
    </Panel>
  );
}

function Said({ step }: { step: StepRow }) {
  const blocked = step.blocked_by ?? [];
  return (
    <div className="space-y-1">
      {step.began ? (
        <p className="text-muted">
          began {clock(Date.parse(step.began))}
          {step.ended ? `, took ${span(Date.parse(step.ended) - Date.parse(step.began))}` : ''}
        </p>
      ) : null}
      {step.message ? <p className="whitespace-pre-wrap">{visible(step.message)}</p> : null}
      {!step.message && step.state === 'succeeded' ? (
        <p className="text-muted">Done, with nothing to add.</p>
      ) : null}
      {blocked.length > 0 ? (
        <p>
          {step.state === 'not-run' ? 'Not run: ' : 'Waits for '}
          {plural(blocked.length, 'step')} before it:{' '}
          <span className="code">{visible(blocked.join(', '))}</span>
        </p>
      ) : null}
    </div>
  );
}
