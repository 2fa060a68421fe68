/** One node: what runs on it, what it has, what happened. Draws `GET /nodes/ID`. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Node, NodeRow } from '../api/documents';
import { EventLines } from '../events/event-lines';
import { useAddress, useAddressSetter, usePathPart } from '../look/address';
import { megabytes } from '../look/amount';
import { Answer, Empty } from '../look/answer';
import { CopyButton } from '../look/copy';
import { Facts, PageFrame, Panel, Tabs } from '../look/page';
import { markOfNode, StatusMark } from '../look/status';
import { plural, visible } from '../look/text';
import { Age } from '../look/time';
import { statusQuery } from '../overview/data';
import { InstanceRows } from '../services/instance-rows';
import { instancesQuery, nodeEventsQuery, nodeQuery, nodesQuery } from './data';
import { CordonButton, RemoveButton } from './node-acts';
import { GpuBars, RoomBar } from './room';
import { UsageView } from './usage-view';

export function NodePage() {
  const name = usePathPart('node');
  const node = useQuery(nodeQuery(name));
  const rows = useQuery(nodesQuery);
  const status = useQuery(statusQuery);
  const tab = useAddress().tab ?? 'instances';
  const row = rows.data?.find((one) => one.name === name);
  return (
    <PageFrame
      title={visible(name)}
      crumbs={[{ to: '/nodes', name: 'Nodes' }]}
      mark={node.data ? <StatusMark mark={markOfNode(node.data)} /> : null}
      acts={
        node.data ? (
          <>
            <CopyButton text={`ssh ${node.data.ip}`} what="line" look="" word="Copy ssh" />
            <Link
              to="/whatif"
              search={{ suppose: JSON.stringify([{ drain: name }]) }}
              className="button"
            >
              Drain…
            </Link>
            <CordonButton node={node.data} />
            <RemoveButton node={node.data} cluster={status.data?.cluster ?? 'the cluster'} />
          </>
        ) : null
      }
    >
      <Answer query={node} rows={6}>
        {(data) => (
          <>
            <Head node={data} row={row} />
            <Tabs
              label="Of the node"
              current={tab}
              tabs={[
                { id: 'instances', name: 'Instances', count: row?.instances },
                { id: 'use', name: 'Use' },
                { id: 'events', name: 'Events' },
                { id: 'facts', name: 'Facts' },
              ]}
            />
            <TabBody tab={tab} node={data} />
          </>
        )}
      </Answer>
    </PageFrame>
  );
}

function Head({ node, row }: { node: Node; row: NodeRow | undefined }) {
  return (
    <Panel>
      <div className="grid gap-4 lg:grid-cols-[1fr_2fr]">
        <Facts
          items={[
            [
              'address',
              <span key="ip" className="code">
                {visible(node.ip)}
              </span>,
            ],
            ['last seen', <Age key="seen" at={node.last_seen} suffix=" ago" />],
            ['zone', visible(node.zone ?? 'none')],
            ['tags', node.tags.length > 0 ? visible(node.tags.join(', ')) : 'none'],
            ...(row?.agent ? [['agent', visible(row.agent)] as [string, ReactNode]] : []),
          ]}
        />
        {row ? (
          <div className="grid content-start gap-3 sm:grid-cols-3">
            <RoomBar node={row} what="cpu" />
            <RoomBar node={row} what="memory" />
            <RoomBar node={row} what="disk" />
            <GpuBars node={row} />
          </div>
        ) : null}
      </div>
      {node.status !== 'online' ? (
        <p className="mt-2">
          <StatusMark
            mark={node.status}
            word={`Not heard of since ${node.last_seen === '' ? 'it joined' : node.last_seen}. What runs there is unknown, and nothing is decided about it until the cluster's lost-after has passed.`}
          />
        </p>
      ) : null}
      {row?.problem ? <p className="mt-2 text-warn">{visible(row.problem)}</p> : null}
    </Panel>
  );
}

function TabBody({ tab, node }: { tab: string; node: Node }): ReactNode {
  switch (tab) {
    case 'use':
      return <UsageView kind="nodes" name={node.name} />;
    case 'events':
      return <NodeEvents name={node.name} />;
    case 'facts':
      return <NodeFacts node={node} />;
    default:
      return <NodeInstances name={node.name} />;
  }
}

function NodeInstances({ name }: { name: string }) {
  const instances = useQuery(instancesQuery);
  const address = useAddress();
  const set = useAddressSetter();
  return (
    <Answer query={instances}>
      {(rows) => {
        const mine = rows.filter((row) => row.node === name);
        if (mine.length === 0) return <Empty title="No instance is on it" />;
        return (
          <InstanceRows
            label={`Instances on ${name}`}
            rows={mine}
            without="node"
            sort={address.sort}
            onSort={(sort) => set({ sort })}
          />
        );
      }}
    </Answer>
  );
}

function NodeEvents({ name }: { name: string }) {
  const events = useQuery(nodeEventsQuery(name));
  return (
    <Answer query={events}>
      {(page) => {
        const mine = page.items.filter((event) => event.subject === `node.${name}`);
        if (mine.length === 0) {
          return (
            <Empty title={`Nothing about it in the ${plural(page.items.length, 'newest event')}`} />
          );
        }
        return (
          <Panel flush>
            <EventLines events={mine} />
          </Panel>
        );
      }}
    </Answer>
  );
}

function engine(name: string, has: Node['docker']): [string, ReactNode] {
  const word = has.available
    ? [has.engine, has.version].filter(Boolean).join(' ') || 'there'
    : 'not there';
  return [name, visible(word)];
}

function NodeFacts({ node }: { node: Node }) {
  return (
    <Panel>
      <div className="grid gap-6 lg:grid-cols-2">
        <Facts
          items={[
            [
              'id',
              <span key="id" className="code">
                {node.id}
              </span>,
            ],
            ['system', `${visible(node.os)} ${visible(node.arch)}`],
            ['cores', node.cpu_count],
            ['memory', megabytes(node.total_memory_mb)],
            ...node.disks.map((disk): [string, ReactNode] => [
              `disk ${visible(disk.mount)}`,
              `${megabytes(disk.free_mb)} free of ${megabytes(disk.total_mb)}`,
            ]),
            ...node.gpus.map((gpu, index): [string, ReactNode] => [
              `gpu${index}`,
              `${visible(gpu.model)}, ${megabytes(gpu.mem_mb)}`,
            ]),
          ]}
        />
        <Facts
          items={[
            engine('docker', node.docker),
            engine('process', node.process),
            engine('kubernetes', node.k8s),
            ['ports in use', node.ports_in_use.length > 0 ? node.ports_in_use.join(', ') : 'none'],
          ]}
        />
      </div>
    </Panel>
  );
}
