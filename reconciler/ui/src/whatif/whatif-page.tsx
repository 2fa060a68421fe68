/**
 * The plan of what has not happened. Nodes can be dragged to the tray; each drag has a button. Draws
 * `POST /whatif`; nothing is applied from here.
 */
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import type { NodeRow, ServiceRow } from '../api/documents';
import { DraftView, useSettled } from '../drafts/draft-view';
import { useAddress, useAddressSetter } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Command } from '../look/copy';
import { PageFrame, Panel } from '../look/page';
import { markOfNode, Shape, StatusMark } from '../look/status';
import { visible } from '../look/text';
import { statusQuery } from '../overview/data';
import { PlacementTable } from '../plans/placement-table';
import { Proof } from '../plans/proof';
import { UnplaceableView } from '../plans/unplaceable-view';
import {
  commandOf,
  type Loss,
  readSuppositions,
  type Supposition,
  told,
  whatIfQuery,
} from './data';
import { PlanBrief } from './plan-brief';

export function WhatIfPage() {
  const status = useQuery(statusQuery);
  const address = useAddress();
  const set = useAddressSetter();
  const suppose = readSuppositions(address.suppose);
  const survive = address.survive === 'yes';
  const change = (next: Supposition[]) =>
    set({ suppose: next.length > 0 ? JSON.stringify(next) : undefined });
  return (
    <PageFrame title="What if" about="A plan of what has not happened. Nothing changes from here.">
      <Answer query={status} rows={8}>
        {(data) => (
          <div className="grid gap-x-3 xl:grid-cols-[2fr_3fr]">
            <div>
              <Supposed
                suppose={suppose}
                onDrop={(index) => change(suppose.filter((_, at) => at !== index))}
                onClear={() => change([])}
              />
              <Nodes nodes={data.nodes} suppose={suppose} change={change} />
              <NewNode onAdd={(one) => change([...suppose, one])} />
              <Replicas
                services={data.services}
                suppose={suppose}
                change={change}
                first={address.scale}
              />
              <Panel title="One loss">
                <label className="inline-flex items-center gap-2">
                  <input
                    type="checkbox"
                    checked={survive}
                    onChange={(event) => set({ survive: event.target.checked ? 'yes' : undefined })}
                  />
                  Lose each node in turn, and say what would no longer run
                </label>
              </Panel>
            </div>
            <Result suppose={suppose} survive={survive} base={data.source?.seen ?? undefined} />
          </div>
        )}
      </Answer>
    </PageFrame>
  );
}

function Supposed({
  suppose,
  onDrop,
  onClear,
}: {
  suppose: Supposition[];
  onDrop: (index: number) => void;
  onClear: () => void;
}) {
  return (
    <Panel
      title="Suppose that"
      acts={
        suppose.length > 0 ? (
          <button type="button" className="button button-small" onClick={onClear}>
            Clear
          </button>
        ) : null
      }
    >
      {suppose.length === 0 ? <p className="text-muted">Nothing yet: today as it is.</p> : null}
      <ul aria-label="Suppositions" className="space-y-1">
        {suppose.map((one, index) => (
          <li key={index} className="flex items-center justify-between gap-2">
            <span>{visible(told(one))}</span>
            <button
              type="button"
              className="button button-small"
              aria-label={`Take back: ${told(one)}`}
              onClick={() => onDrop(index)}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Nodes({
  nodes,
  suppose,
  change,
}: {
  nodes: NodeRow[];
  suppose: Supposition[];
  change: (next: Supposition[]) => void;
}) {
  const [over, setOver] = useState(false);
  const has = (word: 'drain' | 'without', name: string) =>
    suppose.findIndex((one) => word in one && (one as Record<string, unknown>)[word] === name);
  const toggle = (word: 'drain' | 'without', name: string) => {
    const at = has(word, name);
    const rest = suppose.filter(
      (one) =>
        !('drain' in one && one.drain === name) && !('without' in one && one.without === name),
    );
    change(at >= 0 ? rest : [...rest, word === 'drain' ? { drain: name } : { without: name }]);
  };
  return (
    <Panel title="Nodes" flush>
      <ul aria-label="Nodes" className="max-h-80 overflow-y-auto">
        {nodes.map((node) => {
          const drained = has('drain', node.name) >= 0;
          const lost = has('without', node.name) >= 0;
          return (
            <li
              key={node.name}
              draggable
              onDragStart={(event) => event.dataTransfer.setData('text/plain', node.name)}
              className="data-row flex items-center gap-2 px-3 py-1"
            >
              <Shape mark={markOfNode(node)} title={markOfNode(node)} />
              <span className={`flex-1 truncate font-medium ${lost ? 'line-through' : ''}`}>
                {visible(node.name)}
              </span>
              <span className="text-muted">{node.instances}</span>
              <Toggle
                on={drained}
                word="Drain"
                name={node.name}
                onToggle={() => toggle('drain', node.name)}
              />
              <Toggle
                on={lost}
                word="Lose"
                name={node.name}
                onToggle={() => toggle('without', node.name)}
              />
            </li>
          );
        })}
      </ul>
      <section
        aria-label="Tray of lost nodes"
        className={`m-3 rounded-md border border-dashed p-3 text-center text-muted ${over ? 'border-accent bg-accent-soft' : 'border-line-strong'}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          const name = event.dataTransfer.getData('text/plain');
          if (nodes.some((node) => node.name === name) && has('without', name) < 0)
            toggle('without', name);
        }}
      >
        Drag a node here to lose it, or press Lose.
      </section>
    </Panel>
  );
}

function Toggle({
  on,
  word,
  name,
  onToggle,
}: {
  on: boolean;
  word: string;
  name: string;
  onToggle: () => void;
}) {
  return (
    <button
      type="button"
      className={`button button-small ${on ? 'border-accent bg-accent-soft' : ''}`}
      aria-pressed={on}
      onClick={onToggle}
    >
      {on ? <span aria-hidden="true">✓</span> : null}
      {word}
      <span className="sr-only"> {name}</span>
    </button>
  );
}

function Slider({
  label,
  value,
  min,
  max,
  step,
  text,
  onChange,
}: {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  text: string;
  onChange: (value: number) => void;
}) {
  return (
    <label className="grid grid-cols-[6rem_1fr_5rem] items-center gap-3">
      <span>{label}</span>
      <input
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        aria-valuetext={text}
        onChange={(event) => onChange(Number(event.target.value))}
      />
      <span className="text-right">{text}</span>
    </label>
  );
}

function NewNode({ onAdd }: { onAdd: (one: Supposition) => void }) {
  const [cpu, setCpu] = useState(8);
  const [memory, setMemory] = useState(32);
  const [gpus, setGpus] = useState(0);
  const [gpuMemory, setGpuMemory] = useState(24);
  return (
    <Panel title="A new node">
      <div className="space-y-1.5">
        <Slider
          label="cores"
          value={cpu}
          min={1}
          max={128}
          step={1}
          text={String(cpu)}
          onChange={setCpu}
        />
        <Slider
          label="memory"
          value={memory}
          min={1}
          max={1024}
          step={1}
          text={`${memory}GiB`}
          onChange={setMemory}
        />
        <Slider
          label="GPUs"
          value={gpus}
          min={0}
          max={8}
          step={1}
          text={String(gpus)}
          onChange={setGpus}
        />
        {gpus > 0 ? (
          <Slider
            label="GPU memory"
            value={gpuMemory}
            min={4}
            max={192}
            step={4}
            text={`${gpuMemory}GiB`}
            onChange={setGpuMemory}
          />
        ) : null}
        <button
          type="button"
          className="button"
          onClick={() =>
            onAdd({
              with_node: {
                cpu,
                memory: `${memory}GiB`,
                ...(gpus > 0 ? { gpus: `${gpus}x${gpuMemory}GiB` } : {}),
              },
            })
          }
        >
          Add it
        </button>
      </div>
    </Panel>
  );
}

function Replicas({
  services,
  suppose,
  change,
  first,
}: {
  services: ServiceRow[];
  suppose: Supposition[];
  change: (next: Supposition[]) => void;
  first: string | undefined;
}) {
  const order = [...services].sort((a, b) => Number(b.name === first) - Number(a.name === first));
  const set = (service: ServiceRow, replicas: number) => {
    const rest = suppose.filter((one) => !('scale' in one && one.scale.service === service.name));
    change(
      replicas === service.desired
        ? rest
        : [...rest, { scale: { service: service.name, replicas } }],
    );
  };
  return (
    <Panel title="Replicas">
      <div className="max-h-72 space-y-1.5 overflow-y-auto">
        {order.map((service) => {
          const found = suppose.find((one) => 'scale' in one && one.scale.service === service.name);
          const value = found && 'scale' in found ? found.scale.replicas : service.desired;
          return (
            <Slider
              key={service.name}
              label={visible(service.name)}
              value={value}
              min={0}
              max={Math.max(10, service.desired * 2)}
              step={1}
              text={String(value)}
              onChange={(replicas) => set(service, replicas)}
            />
          );
        })}
      </div>
    </Panel>
  );
}

/** Suppositions that the cluster file can say. */
function asEdits(suppose: Supposition[]): Record<string, unknown>[] {
  return suppose.flatMap((one): Record<string, unknown>[] => {
    if ('scale' in one) return [{ scale: one.scale }];
    if ('drain' in one) return [{ node: { name: one.drain, drain: true } }];
    if ('edit' in one) return [one.edit];
    return [];
  });
}

function Result({
  suppose,
  survive,
  base,
}: {
  suppose: Supposition[];
  survive: boolean;
  base: string | undefined;
}) {
  const asked = useSettled({ suppose, survive }, 300);
  const answer = useQuery(whatIfQuery(asked.suppose, asked.survive));
  const command = commandOf(suppose, survive);
  const edits = asEdits(suppose);
  if (suppose.length === 0 && !survive) {
    return (
      <div>
        <Empty title="Suppose something on the left">
          <p>Lose a node, drain one, add one, or change replicas. The answer is a plan.</p>
        </Empty>
      </div>
    );
  }
  return (
    <div data-result>
      <Answer query={answer} rows={8}>
        {(data) => (
          <>
            <Panel title="What would follow">
              <PlanBrief plan={data.plan} />
              {data.plan.placement.cut_short ? (
                <p className="mt-2">
                  <StatusMark
                    mark="unhealthy"
                    word="Cut short after five seconds: a better placement may exist."
                  />
                </p>
              ) : null}
            </Panel>
            {data.losses && data.losses.length > 0 ? <Losses losses={data.losses} /> : null}
            <UnplaceableView items={data.plan.placement.infeasible ?? []} />
            <PlacementTable plan={data.plan} title="Today, and then" />
            <Proof placement={data.plan.placement} />
          </>
        )}
      </Answer>
      <Panel title="The same from the command line">
        <Command line={command} />
      </Panel>
      {edits.length > 0 ? (
        <DraftView base={base} edits={edits} message="Change what was tried" />
      ) : null}
    </div>
  );
}

function listed(value: string[] | number): ReactNode {
  if (typeof value === 'number') return value;
  return value.length === 0 ? <span className="text-muted">none</span> : visible(value.join(', '));
}

function Losses({ losses }: { losses: Loss[] }) {
  return (
    <Panel title="If one node is lost" flush>
      <div className="overflow-x-auto">
        <table className="w-full" aria-label="Losses">
          <thead>
            <tr className="head-row text-left">
              <th className="px-3 py-1 font-normal">Without</th>
              <th className="px-3 py-1 font-normal">no longer runs</th>
              <th className="px-3 py-1 font-normal">waits for its data</th>
              <th className="px-3 py-1 font-normal">runs elsewhere</th>
            </tr>
          </thead>
          <tbody>
            {losses.map((loss) => (
              <tr key={loss.node} className="data-row align-top">
                <td className="px-3 py-1 font-medium">{visible(loss.node)}</td>
                <td className="px-3 py-1">{listed(loss.down)}</td>
                <td className="px-3 py-1">{listed(loss.data)}</td>
                <td className="px-3 py-1">{listed(loss.elsewhere)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
