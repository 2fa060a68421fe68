/** How good the placement is and how far that is proven, level by level. Draws the placement report. */
import type { PlacementReport, PriorityLevel } from '../api/documents';
import { Panel } from '../look/page';
import { Shape } from '../look/status';
import { plural, visible } from '../look/text';

function waitsOf(level: PriorityLevel): string {
  const parts = [];
  if (level.kept > 0) parts.push(`${level.kept} retained`);
  if (level.waiting_for_data > 0) parts.push(`${level.waiting_for_data} wait for data`);
  if (level.waiting_for_service > 0) parts.push(`${level.waiting_for_service} wait for a service`);
  return parts.join(', ');
}

export function Proof({ placement }: { placement: PlacementReport }) {
  const moved = placement.moves + placement.evicted + placement.restarts;
  return (
    <Panel title="Placement">
      <div className="grid gap-x-8 gap-y-2 lg:grid-cols-[3fr_2fr]">
        <table className="w-full" aria-label="Levels">
          <thead>
            <tr className="text-left text-xs text-muted">
              <th className="font-normal">priority</th>
              <th className="font-normal">placed</th>
              <th className="font-normal">of</th>
              <th className="font-normal">no placement does better</th>
            </tr>
          </thead>
          <tbody>
            {placement.levels.map((level) => (
              <tr key={level.priority} data-level={level.priority}>
                <td>{level.priority}</td>
                <td>{level.placed.toLocaleString('en')}</td>
                <td>{(level.wanted || level.placed).toLocaleString('en')}</td>
                <td>
                  <span className="inline-flex flex-wrap items-center gap-1.5">
                    <Shape mark={level.proven ? 'completed' : 'unknown'} />
                    {level.proven ? 'proven' : `at most ${level.bound.toLocaleString('en')}`}
                    {level.assumes ? (
                      <span className="text-muted">({visible(level.assumes)})</span>
                    ) : null}
                    <span className="text-muted">{waitsOf(level)}</span>
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        <dl className="grid grid-cols-[max-content_1fr] content-start gap-x-4 gap-y-0.5">
          <dt className="text-muted">moves</dt>
          <dd>
            {plural(placement.moves, 'move')}
            {placement.evicted > 0 ? `, ${plural(placement.evicted, 'eviction')}` : ''}
            {placement.restarts > 0 ? `, ${plural(placement.restarts, 'restart')}` : ''}
            {moved > 0 || placement.move_cost > 0 ? `, price ${placement.move_cost}` : ''}{' '}
            <span className="text-muted">
              {placement.moves_proven
                ? '(proven the least)'
                : `(at least ${placement.move_cost_bound})`}
            </span>
          </dd>
          <dt className="text-muted">score</dt>
          <dd>
            {placement.cost.toFixed(4)} for {placement.objective}{' '}
            <span className="text-muted">
              {placement.score_proven
                ? '(proven the best)'
                : `(bound ${placement.bound.toFixed(4)}, gap ${(placement.gap * 100).toFixed(2)}%)`}
            </span>
          </dd>
          {placement.seconds === undefined ? null : (
            <>
              <dt className="text-muted">solved in</dt>
              <dd>
                {placement.seconds < 1
                  ? `${Math.max(1, Math.round(placement.seconds * 1000))} ms`
                  : `${placement.seconds.toFixed(1)} s`}{' '}
                by {visible(placement.solver)}
                {placement.cut_short ? (
                  <span className="text-warn"> · cut short at {placement.solve_limit} s</span>
                ) : null}
              </dd>
            </>
          )}
        </dl>
      </div>
    </Panel>
  );
}
