/** Why a service is where it is, and everything that speaks against every other node. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Answer } from '../look/answer';
import { Command } from '../look/copy';
import { Panel } from '../look/page';
import { StatusMark } from '../look/status';
import { visible } from '../look/text';
import { RemedyList } from '../plans/remedies';
import { ViolationList } from '../plans/violations';
import { explainQuery } from './data';

export function ExplainView({ service }: { service: string }) {
  const explain = useQuery(explainQuery(service));
  return (
    <>
      <Answer query={explain}>
        {(data) => (
          <>
            {data.missing > 0 ? (
              <p className="mb-2">
                <StatusMark mark="waiting" word={`${data.missing} without a node`} />
              </p>
            ) : null}
            <Panel title="Each node" flush>
              <ul aria-label="Each node">
                {data.nodes.map((node) => (
                  <li
                    key={node.node}
                    className="data-row grid gap-x-3 px-3 py-1.5 sm:grid-cols-[10rem_8rem_1fr]"
                  >
                    <Link
                      to="/nodes/$node"
                      params={{ node: node.node }}
                      className="link font-medium"
                    >
                      {visible(node.node)}
                    </Link>
                    <span>
                      {node.here > 0 ? (
                        <StatusMark mark="healthy" word={`${node.here} here`} />
                      ) : node.eligible ? (
                        <StatusMark mark="completed" word="would do" />
                      ) : (
                        <StatusMark mark="waiting" word="cannot" />
                      )}
                    </span>
                    <div className="min-w-0">
                      <ViolationList violations={node.violations} />
                      {typeof node.difference === 'number' ? (
                        <span className="text-muted">
                          the score would be {node.difference.toFixed(4)} worse
                        </span>
                      ) : null}
                    </div>
                  </li>
                ))}
              </ul>
            </Panel>
            {(data.suggestions ?? []).length > 0 ? (
              <Panel title="Remedies">
                <RemedyList remedies={data.suggestions ?? []} />
              </Panel>
            ) : null}
          </>
        )}
      </Answer>
      {explain.error ? (
        <div className="mt-3">
          <p className="mb-1 text-muted">The command line answers it from a checkout:</p>
          <Command line={`devnet explain ${service}`} />
        </div>
      ) : null}
    </>
  );
}
