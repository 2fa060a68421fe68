/** What has no node, and every constraint of every node that speaks against it; then the remedies. */
import type { Unplaceable } from '../api/documents';
import { Panel } from '../look/page';
import { StatusMark } from '../look/status';
import { plural, visible } from '../look/text';
import { RemedyList } from './remedies';
import { ViolationList } from './violations';

export function UnplaceableView({ items }: { items: Unplaceable[] }) {
  return items.map((item) => (
    <Panel
      key={item.service}
      title={
        <StatusMark
          mark="waiting"
          word={`${visible(item.service)}: ${plural(item.unplaced, 'instance')} without a node`}
        />
      }
      acts={item.at ? <span className="code text-muted">{visible(item.at)}</span> : null}
    >
      <div data-unplaceable={item.service}>
        {item.suggestions.length > 0 ? (
          <>
            <h3 className="mb-1">Remedies</h3>
            <RemedyList remedies={item.suggestions} />
          </>
        ) : null}
        <details className="mt-3" open={item.nodes.length <= 12}>
          <summary className="mb-1">
            What speaks against each of {plural(item.nodes.length, 'node')}
          </summary>
          <div role="table" aria-label={`Nodes and constraints of ${item.service}`}>
            <div role="rowgroup">
              {item.nodes.map((node) => (
                <div
                  role="row"
                  key={node.node}
                  className="data-row grid gap-x-3 py-1 last:border-b-0 sm:grid-cols-[9rem_1fr]"
                >
                  <span role="rowheader" className="font-medium">
                    {visible(node.node)}
                  </span>
                  <div role="cell" className="min-w-0">
                    <ViolationList violations={node.violations} />
                  </div>
                </div>
              ))}
            </div>
          </div>
        </details>
      </div>
    </Panel>
  ));
}
