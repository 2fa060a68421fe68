/** Before and after, node by node. */
import type { Plan } from '../api/documents';
import { Panel } from '../look/page';
import { visible } from '../look/text';
import { chipName, placementByNode } from './data';

/** More chips than this are a number. */
const MOST = 24;

function Chips({ names, other, mark }: { names: string[]; other: string[]; mark: '+' | '-' }) {
  const known = new Set(other);
  return (
    <span className="flex flex-wrap gap-1">
      {names.slice(0, MOST).map((name) => {
        const changed = !known.has(name);
        return (
          <span
            key={name}
            className={`chip ${changed ? (mark === '+' ? 'diff-add font-semibold' : 'diff-del font-semibold') : ''}`}
          >
            {changed ? <span className="code">{mark}</span> : null}
            {visible(chipName(name))}
          </span>
        );
      })}
      {names.length > MOST ? (
        <span className="text-muted">and {names.length - MOST} more</span>
      ) : null}
      {names.length === 0 ? <span className="text-muted">nothing</span> : null}
    </span>
  );
}

export function PlacementTable({
  plan,
  title = 'Before and after',
}: {
  plan: Plan;
  title?: string;
}) {
  const shares = placementByNode(plan);
  const changed = shares.filter((share) => share.before.join() !== share.after.join());
  const equal = shares.length - changed.length;
  return (
    <Panel title={title} flush>
      <div role="table" aria-label={title}>
        <div role="rowgroup">
          <div
            role="row"
            className="head-row hidden grid-cols-[minmax(7rem,1fr)_3fr_3fr] gap-3 px-3 py-1 sm:grid"
          >
            <span role="columnheader">Node</span>
            <span role="columnheader">Before</span>
            <span role="columnheader">After</span>
          </div>
        </div>
        <div role="rowgroup">
          {changed.map((share) => (
            <div
              role="row"
              key={share.node}
              className="data-row grid gap-x-3 gap-y-1 px-3 py-1.5 sm:grid-cols-[minmax(7rem,1fr)_3fr_3fr]"
            >
              <span role="cell" className="font-medium">
                {visible(share.node)}
              </span>
              <span role="cell">
                <Chips names={share.before} other={share.after} mark="-" />
              </span>
              <span role="cell">
                <Chips names={share.after} other={share.before} mark="+" />
              </span>
            </div>
          ))}
        </div>
      </div>
      {equal > 0 || changed.length === 0 ? (
        <p className="px-3 py-1.5 text-muted">
          {changed.length === 0
            ? 'Nothing moves on any node.'
            : `${equal} other nodes stay as they are.`}
        </p>
      ) : null}
    </Panel>
  );
}
