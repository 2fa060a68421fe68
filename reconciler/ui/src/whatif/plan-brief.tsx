/** A plan in a few lines: what changes, what waits, what it costs. */
import type { Plan } from '../api/documents';
import { StatusMark } from '../look/status';
import { plural, visible } from '../look/text';
import { SummaryMarks } from '../plans/summary';

/** Named at most; the whole plan has the rest. */
const MOST = 6;

export function PlanBrief({ plan }: { plan: Plan }) {
  const { placement } = plan;
  const proven = placement.levels.every((level) => level.proven) && placement.moves_proven;
  return (
    <div data-plan-brief className="space-y-1">
      <div className="flex flex-wrap items-center gap-x-4">
        <SummaryMarks summary={plan.summary} whole />
        {placement.unplaced > 0 ? (
          <StatusMark
            mark="waiting"
            word={`${plural(placement.unplaced, 'instance')} without a node`}
          />
        ) : (
          <StatusMark mark="completed" word="everything fits" />
        )}
        <span className="text-muted">
          {proven ? 'proven' : placement.cut_short ? 'cut short' : 'not proven'}
        </span>
      </div>
      {plan.changes.slice(0, MOST).map((change) => (
        <div key={`${change.instance}@${change.node}`} className="text-muted">
          {visible(change.instance)} → {visible(change.node)}: {visible(change.reason)}
        </div>
      ))}
      {plan.changes.length > MOST ? (
        <div className="text-muted">and {plural(plan.changes.length - MOST, 'more change')}</div>
      ) : null}
    </div>
  );
}
