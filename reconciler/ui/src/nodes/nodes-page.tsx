/** Every node: rows or cards, grouped by what one likes. Draws `GET /nodes`. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { NodeRow } from '../api/documents';
import { useAddress, useAddressSetter } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Choice, Filter, matches } from '../look/filter';
import { PageFrame } from '../look/page';
import { type Column, parseSort, Rows } from '../look/rows';
import { markOfNode, StatusMark } from '../look/status';
import { plural, visible } from '../look/text';
import { Age } from '../look/time';
import { nodesQuery } from './data';
import { CordonButton } from './node-acts';
import { GpuBars, RoomBar, RoomBars } from './room';

const NameLink = ({ node }: { node: NodeRow }) => (
  <Link to="/nodes/$node" params={{ node: node.name }} className="link font-medium">
    {visible(node.name)}
  </Link>
);

const place = (node: NodeRow) => [node.zone, ...(node.tags ?? [])].filter(Boolean).join(' ');

function Places({ node }: { node: NodeRow }) {
  return (
    <span className="inline-flex gap-1">
      {node.zone ? <span className="chip">{visible(node.zone)}</span> : null}
      {(node.tags ?? []).map((tag) => (
        <span key={tag} className="chip">
          {visible(tag)}
        </span>
      ))}
    </span>
  );
}

const STATUS_ORDER = { lost: 0, offline: 1, online: 2 };

const COLUMNS: Column<NodeRow>[] = [
  {
    id: 'name',
    head: 'Node',
    width: 'minmax(7rem,1.2fr)',
    cell: (node) => <NameLink node={node} />,
    by: (node) => node.name,
    phone: 'lead',
  },
  {
    id: 'status',
    head: 'Status',
    width: '7rem',
    cell: (node) => <StatusMark mark={markOfNode(node)} />,
    by: (node) => STATUS_ORDER[node.status],
    phone: 'side',
  },
  {
    id: 'ip',
    head: 'Address',
    width: 'minmax(7rem,.8fr)',
    cell: (node) => <span className="code">{visible(node.ip)}</span>,
    by: (node) => node.ip,
  },
  {
    id: 'place',
    head: 'Zone and tags',
    width: 'minmax(6rem,1fr)',
    cell: (node) => <Places node={node} />,
    by: place,
    phone: 'none',
  },
  {
    id: 'instances',
    head: 'Instances',
    width: '5.5rem',
    cell: (node) => <Instances node={node} />,
    by: (node) => node.instances,
    right: true,
  },
  {
    id: 'room',
    head: 'Placed, reserved, whole',
    width: 'minmax(18rem,2.6fr)',
    cell: (node) => <RoomBars node={node} />,
    phone: 'none',
  },
  {
    id: 'seen',
    head: 'Last seen',
    width: '5rem',
    cell: (node) => <Age at={node.last_seen} />,
    by: (node) => -Date.parse(node.last_seen),
    right: true,
  },
];

function Instances({ node }: { node: NodeRow }) {
  return (
    <span>
      {node.instances}
      <span className="sm:hidden"> {node.instances === 1 ? 'instance' : 'instances'}</span>
    </span>
  );
}

export function groupsOf(nodes: NodeRow[], by: string): [string, NodeRow[]][] {
  if (by === 'none') return [['', nodes]];
  const found = new Map<string, NodeRow[]>();
  for (const node of nodes) {
    const names =
      by === 'zone'
        ? [node.zone ?? 'no zone']
        : by === 'status'
          ? [markOfNode(node)]
          : (node.tags?.length ?? 0) > 0
            ? (node.tags ?? [])
            : ['no tag'];
    for (const name of names) found.set(name, [...(found.get(name) ?? []), node]);
  }
  return [...found].sort(([a], [b]) => a.localeCompare(b));
}

export function NodesPage() {
  const nodes = useQuery(nodesQuery);
  const address = useAddress();
  const set = useAddressSetter();
  const words = address.q ?? '';
  const group = address.group ?? 'none';
  const view = address.view ?? 'rows';
  return (
    <PageFrame
      title="Nodes"
      acts={
        <Link to="/nodes/add" className="button button-main">
          Add a node
        </Link>
      }
    >
      <Answer query={nodes}>
        {(rows) => {
          const shown = rows.filter((node) =>
            matches(words, [node.name, node.ip, node.zone, markOfNode(node), ...(node.tags ?? [])]),
          );
          if (rows.length === 0) return <NoNodes />;
          return (
            <>
              <div className="mb-3 flex flex-wrap items-center gap-3">
                <Filter value={words} label="Filter nodes" shown={shown.length} of={rows.length} />
                <Choice
                  label="group"
                  value={group}
                  options={[
                    ['none', 'nothing'],
                    ['zone', 'zone'],
                    ['tag', 'tag'],
                    ['status', 'status'],
                  ]}
                  onChoose={(value) => set({ group: value === 'none' ? undefined : value })}
                />
                <Choice
                  label="as"
                  value={view}
                  options={[
                    ['rows', 'rows'],
                    ['cards', 'cards'],
                  ]}
                  onChoose={(value) => set({ view: value === 'rows' ? undefined : value })}
                />
              </div>
              {shown.length === 0 ? (
                <Empty title={`No node matches “${words}”`} />
              ) : (
                groupsOf(shown, group).map(([name, members]) => (
                  <section key={name} className="mb-4">
                    {name === '' ? null : (
                      <h2 className="mb-1">
                        {visible(name)}{' '}
                        <span className="font-normal text-muted">
                          {plural(members.length, 'node')}
                        </span>
                      </h2>
                    )}
                    {view === 'cards' ? (
                      <Cards nodes={members} />
                    ) : (
                      <div className="panel">
                        <Rows
                          label={name === '' ? 'Nodes' : `Nodes, ${name}`}
                          rows={members}
                          columns={COLUMNS}
                          keyOf={(node) => node.name}
                          sort={parseSort(address.sort)}
                          onSort={(sort) => set({ sort })}
                        />
                      </div>
                    )}
                  </section>
                ))
              )}
            </>
          );
        }}
      </Answer>
    </PageFrame>
  );
}

function NoNodes() {
  return (
    <Empty title="No node has joined yet">
      <p>
        A node is a machine with an agent.{' '}
        <Link to="/nodes/add" className="link">
          Add the first one
        </Link>
        .
      </p>
    </Empty>
  );
}

/** More cards than this are drawn as rows by whoever wants to see all of them. */
const MOST_CARDS = 90;

function Cards({ nodes }: { nodes: NodeRow[] }) {
  return (
    <>
      <div className="grid gap-3 sm:grid-cols-2 xl:grid-cols-3">
        {nodes.slice(0, MOST_CARDS).map((node) => (
          <article key={node.name} className="panel p-3" data-row={node.name}>
            <div className="mb-1 flex items-center justify-between gap-2">
              <h2>
                <NameLink node={node} />
              </h2>
              <StatusMark mark={markOfNode(node)} />
            </div>
            <div className="mb-2 flex flex-wrap items-center gap-x-3 text-muted">
              <span className="code">{visible(node.ip)}</span>
              <span>{plural(node.instances, 'instance')}</span>
              <span>
                seen <Age at={node.last_seen} suffix=" ago" />
              </span>
              <Places node={node} />
            </div>
            <div className="space-y-1.5">
              <RoomBar node={node} what="cpu" />
              <RoomBar node={node} what="memory" />
              <RoomBar node={node} what="disk" />
              <GpuBars node={node} />
            </div>
            {node.problem ? <p className="mt-2 text-warn">{visible(node.problem)}</p> : null}
            <div className="mt-3 flex gap-2">
              <CordonButton node={node} small />
            </div>
          </article>
        ))}
      </div>
      {nodes.length > MOST_CARDS ? (
        <p className="mt-2 text-muted">
          {nodes.length - MOST_CARDS} more: filter them, or look at them as rows.
        </p>
      ) : null}
    </>
  );
}
