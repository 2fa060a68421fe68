/** Nodes as boxes, by zone; instances as named chips in them. Names never vanish. */
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { InstanceRow, NodeRow, ServiceRow } from '../api/documents';
import { markOfInstance, markOfNode, Shape } from '../look/status';
import { plural, serviceOf, visible } from '../look/text';
import { groupsOf } from '../nodes/nodes-page';
import { GpuBars, RoomBar } from '../nodes/room';
import { chipName } from '../plans/data';

/** Beyond so many things, groups are folded until they are asked for. */
const MOST = 300;

export function PlacementMap({
  services,
  nodes,
  group,
  onlyUnwell,
  picked,
  pick,
}: {
  services: ServiceRow[];
  nodes: NodeRow[];
  group: string;
  onlyUnwell: boolean;
  picked: string | undefined;
  pick: (service: string | undefined) => void;
}) {
  const rows = services.flatMap((service) => service.instances);
  const shown = onlyUnwell
    ? rows.filter((row) => !['healthy', 'completed'].includes(markOfInstance(row)))
    : rows;
  const byNode = new Map<string, InstanceRow[]>();
  for (const row of shown) byNode.set(row.node, [...(byNode.get(row.node) ?? []), row]);
  const many = nodes.length + shown.length > MOST;
  const service = services.find((one) => one.name === picked);
  return (
    <>
      {groupsOf(nodes, group).map(([name, members]) => (
        <Group
          key={name}
          name={name}
          nodes={members}
          byNode={byNode}
          folded={many}
          picked={picked}
          pick={pick}
        />
      ))}
      <p
        className="sticky bottom-16 mt-3 rounded-md border border-line bg-raised px-3 py-2 sm:bottom-3"
        role="status"
      >
        {service ? (
          <Picked service={service} />
        ) : (
          <span className="text-muted">Choose an instance to see its service.</span>
        )}
      </p>
    </>
  );
}

function Picked({ service }: { service: ServiceRow }) {
  const needs = service.depends_on ?? [];
  return (
    <>
      <Link
        to="/services/$service"
        params={{ service: service.name }}
        className="link font-semibold"
      >
        {visible(service.name)}
      </Link>
      : {service.healthy} of {service.desired} healthy
      {needs.length > 0 ? ` · depends on ${visible(needs.join(', '))}` : ''} ·{' '}
      <Link
        to="/services/$service"
        params={{ service: service.name }}
        search={{ tab: 'explain' }}
        className="link"
      >
        explain
      </Link>{' '}
      ·{' '}
      <Link to="/whatif" search={{ scale: service.name }} className="link">
        what if
      </Link>
    </>
  );
}

function Group({
  name,
  nodes,
  byNode,
  folded,
  picked,
  pick,
}: {
  name: string;
  nodes: NodeRow[];
  byNode: Map<string, InstanceRow[]>;
  folded: boolean;
  picked: string | undefined;
  pick: (service: string | undefined) => void;
}) {
  const [open, setOpen] = useState(!folded);
  const count = nodes.reduce((total, node) => total + (byNode.get(node.name)?.length ?? 0), 0);
  return (
    <section className="panel mb-3 p-3" aria-label={name === '' ? 'Nodes' : name}>
      {name === '' ? null : (
        <div className="mb-2 flex items-baseline gap-2">
          <h2>{visible(name)}</h2>
          <span className="text-muted">
            {plural(nodes.length, 'node')}, {plural(count, 'instance')}
          </span>
          {folded ? (
            <button
              type="button"
              className="button button-small"
              aria-expanded={open}
              onClick={() => setOpen(!open)}
            >
              {open ? 'Fold' : 'Unfold'}
            </button>
          ) : null}
        </div>
      )}
      {open ? (
        <div className="grid gap-2 sm:grid-cols-2 xl:grid-cols-3">
          {nodes.map((node) => (
            <NodeBox
              key={node.name}
              node={node}
              rows={byNode.get(node.name) ?? []}
              picked={picked}
              pick={pick}
            />
          ))}
        </div>
      ) : (
        <p className="text-muted">
          {visible(
            nodes
              .slice(0, 40)
              .map((node) => node.name)
              .join(', '),
          )}
          {nodes.length > 40 ? ` and ${nodes.length - 40} more` : ''}
        </p>
      )}
    </section>
  );
}

function NodeBox({
  node,
  rows,
  picked,
  pick,
}: {
  node: NodeRow;
  rows: InstanceRow[];
  picked: string | undefined;
  pick: (service: string | undefined) => void;
}) {
  return (
    <div className="rounded-md border border-line p-2" data-node={node.name}>
      <div className="mb-1 flex items-center gap-2">
        <Shape mark={markOfNode(node)} title={markOfNode(node)} />
        <Link to="/nodes/$node" params={{ node: node.name }} className="link font-medium">
          {visible(node.name)}
        </Link>
        <span className="text-muted">
          {markOfNode(node) === 'online' ? rows.length : `${markOfNode(node)}, ${rows.length}`}
        </span>
      </div>
      {node.room ? (
        <div className="mb-2 grid grid-cols-2 gap-2">
          <RoomBar node={node} what="cpu" />
          <RoomBar node={node} what="memory" />
          <GpuBars node={node} />
        </div>
      ) : null}
      <div className="flex flex-wrap gap-1">
        {rows.map((row) => {
          const service = serviceOf(row.id);
          const faded = picked !== undefined && picked !== service;
          return (
            <button
              type="button"
              key={row.id}
              aria-pressed={picked === service}
              title={`${row.id}: ${markOfInstance(row)}`}
              onClick={() => pick(service)}
              className={`chip tap min-h-6 ${picked === service ? 'border-accent bg-accent-soft font-semibold' : ''} ${faded ? 'border-dashed bg-transparent text-muted' : ''}`}
            >
              <Shape mark={markOfInstance(row)} title={markOfInstance(row)} />
              {visible(chipName(row.id))}
            </button>
          );
        })}
        {rows.length === 0 ? <span className="text-muted">no instance</span> : null}
      </div>
    </div>
  );
}
