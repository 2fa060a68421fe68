/**
 * May this be done, and is it the best there is? The summary, then errors, then the proof, then every
 * change. Draws `GET /plans/ID`, all of whose words are the command line's.
 */
import { useMutation, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import type { Drift, Plan } from '../api/documents';
import { asApiError } from '../api/problem';
import { Act } from '../look/act';
import { usePathPart } from '../look/address';
import { Answer } from '../look/answer';
import { PageFrame, Panel } from '../look/page';
import { DiagnosticList, ProblemView } from '../look/problem-view';
import { StatusMark } from '../look/status';
import { plural, short, visible } from '../look/text';
import { Age } from '../look/time';
import { ChangeList } from './change-list';
import { applyPlan, makePlan, planQuery, plansQuery, revisionsQuery, staleQuery } from './data';
import { PlacementTable } from './placement-table';
import { Proof } from './proof';
import { SummaryMarks } from './summary';
import { UnplaceableView } from './unplaceable-view';

const Confirm = lazy(() => import('../look/dialog').then((it) => ({ default: it.Confirm })));

export function PlanPage() {
  const id = usePathPart('plan');
  const plan = useQuery(planQuery(id));
  return (
    <PageFrame
      title={`Plan ${short(id)}`}
      crumbs={[{ to: '/plans', name: 'Plans' }]}
      acts={plan.data ? <PlanActs plan={plan.data} /> : null}
      about={plan.data ? <About plan={plan.data} /> : null}
    >
      <Answer query={plan} rows={10}>
        {(data) => <PlanBody plan={data} />}
      </Answer>
    </PageFrame>
  );
}

function About({ plan }: { plan: Plan }) {
  const rows = useQuery(plansQuery);
  const revisions = useQuery(revisionsQuery);
  const row = rows.data?.find((one) => one.id === plan.id);
  const revision = revisions.data?.find((one) => one.revision === plan.basis.revision);
  return (
    <span>
      commit <span className="code">{short(plan.basis.revision)}</span>
      {revision ? ` “${visible(revision.summary)}” by ${visible(revision.author)}` : ''}
      {row ? `, planned by ${visible(row.by)}` : ''} <Age at={plan.created_at} suffix=" ago" />
    </span>
  );
}

function errorsOf(plan: Plan): number {
  return plan.diagnostics.filter((one) => one.severity === 'error').length;
}

function PlanActs({ plan }: { plan: Plan }) {
  const [asked, ask] = useState(false);
  const navigate = useNavigate();
  const apply = useMutation({
    mutationFn: (force: boolean) => applyPlan(plan.id, force),
    onSuccess: (deployment) =>
      void navigate({ to: '/deployments/$deployment', params: { deployment: deployment.id } }),
  });
  const again = useMutation({
    mutationFn: (options: Record<string, unknown>) => makePlan(options),
    onSuccess: (next) => void navigate({ to: '/plans/$plan', params: { plan: next.id } }),
  });
  const errors = errorsOf(plan);
  const nothing = plan.changes.length === 0;
  const because =
    errors > 0 ? `it has ${plural(errors, 'error')}` : nothing ? 'it changes nothing' : undefined;
  const failure = apply.error ? asApiError(apply.error) : undefined;
  const forced = failure?.kind === 'follows-source';
  return (
    <>
      <Act needs="planner" busy={again.isPending} onAct={() => again.mutate({})}>
        {again.isPending ? 'Planning…' : 'Plan again'}
      </Act>
      {errors > 0 && plan.placement.unplaced > 0 ? (
        <Act
          needs="planner"
          busy={again.isPending}
          onAct={() => again.mutate({ allow_unplaced: true })}
        >
          Plan without what does not fit
        </Act>
      ) : null}
      <Act needs="editor" look="button-main" because={because} onAct={() => ask(true)}>
        Apply to {visible(plan.cluster)}…
      </Act>
      {again.error ? <ProblemView error={again.error} /> : null}
      {asked ? (
        <Suspense>
          <Confirm
            title={`Apply plan ${short(plan.id)} to ${plan.cluster}`}
            act={forced ? 'Apply it all the same' : 'Apply'}
            needs="editor"
            {...(plan.summary.destroy > 0 ? { typed: plan.cluster } : {})}
            bad={plan.summary.destroy > 0}
            busy={apply.isPending}
            error={apply.error}
            onAct={() => apply.mutate(forced)}
            onClose={() => {
              apply.reset();
              ask(false);
            }}
          >
            <p>
              <SummaryMarks summary={plan.summary} whole />
            </p>
            <p className="text-muted">
              {plural(plan.steps.length, 'step')} on{' '}
              {plural(new Set(plan.steps.map((step) => step.node)).size, 'node')}.
            </p>
            {failure?.kind === 'stale-plan' ? (
              <button type="button" className="button" onClick={() => again.mutate({})}>
                {again.isPending ? 'Planning…' : 'Plan again'}
              </button>
            ) : null}
          </Confirm>
        </Suspense>
      ) : null}
    </>
  );
}

function Stale({ id }: { id: string }) {
  const stale = useQuery(staleQuery(id));
  if (!stale.data || stale.data.moved.length === 0) return null;
  return (
    <div className="panel mb-3 bg-warn-soft p-3" data-stale>
      <StatusMark mark="unhealthy" word="This plan is stale" />
      <p>
        Since it was made, {visible(stale.data.moved.join(' and '))} changed. Plan again to apply.
      </p>
    </div>
  );
}

export function PlanBody({ plan }: { plan: Plan }) {
  const errors = plan.diagnostics.filter((one) => one.severity === 'error');
  const warnings = plan.diagnostics.filter((one) => one.severity === 'warning');
  const unplaced = plan.placement.unplaced;
  return (
    <>
      <div className="panel mb-3 flex flex-wrap items-center gap-x-6 gap-y-1 p-3 text-base">
        <SummaryMarks summary={plan.summary} whole />
        {unplaced > 0 ? (
          <StatusMark mark="waiting" word={`${plural(unplaced, 'instance')} without a node`} />
        ) : null}
        {errors.length > 0 ? (
          <StatusMark mark="failed" word={plural(errors.length, 'error')} />
        ) : null}
      </div>
      <Stale id={plan.id} />
      {errors.length > 0 ? (
        <Panel title="Errors: it cannot be applied">
          <DiagnosticList items={errors} />
        </Panel>
      ) : null}
      <UnplaceableView items={plan.placement.infeasible ?? []} />
      <Proof placement={plan.placement} />
      <PlacementTable plan={plan} />
      <ChangeList changes={plan.changes} unchanged={plan.unchanged} />
      <Evictions plan={plan} />
      <Drifts title="Drift: not as it was left" items={plan.drift} />
      <Drifts title="Out of reach: stays as it is" items={plan.unreached ?? []} />
      {warnings.length > 0 ? (
        <Panel title={plural(warnings.length, 'warning')}>
          <DiagnosticList items={warnings} />
        </Panel>
      ) : null}
    </>
  );
}

function Evictions({ plan }: { plan: Plan }) {
  const evictions = plan.placement.evictions ?? [];
  if (evictions.length === 0) return null;
  return (
    <Panel title={plural(evictions.length, 'eviction')}>
      <ul>
        {evictions.map((one) => (
          <li key={one.instance}>
            <span className="font-medium">{visible(one.instance)}</span> on {visible(one.node)}{' '}
            <span className="text-muted">{visible(one.reason)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Drifts({ title, items }: { title: string; items: Drift[] }) {
  if (items.length === 0) return null;
  return (
    <Panel title={title}>
      <ul>
        {items.map((one) => (
          <li key={`${one.instance}@${one.node}`}>
            <span className="font-medium">{visible(one.instance)}</span> on {visible(one.node)}:{' '}
            <span className="text-muted">{visible(one.what)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
