/** What happens to each instance, why, and what is different in its unit. */
import { useMemo, useState } from 'react';
import type { Action, Change } from '../api/documents';
import { SpecFacts } from '../instances/unit-view';
import { useAddress, useAddressSetter } from '../look/address';
import { Diff } from '../look/diff';
import { Choice, Filter, matches } from '../look/filter';
import { Panel } from '../look/page';
import { plural, visible } from '../look/text';
import { ACTIONS } from './summary';

/** Shown at once; the rest comes by asking, so that a plan of thousands opens at once. */
const STEP = 100;

export function ChangeList({ changes, unchanged }: { changes: Change[]; unchanged: number }) {
  const address = useAddress();
  const set = useAddressSetter();
  const [most, setMost] = useState(STEP);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const words = address.q ?? '';
  const action = address.action ?? '';
  const shown = useMemo(
    () =>
      changes.filter(
        (change) =>
          (action === '' || change.action === action) &&
          matches(words, [change.instance, change.node, change.from, change.reason]),
      ),
    [changes, action, words],
  );
  const kinds = [...new Set(changes.map((change) => change.action))];
  const toggle = (name: string) => {
    const next = new Set(open);
    if (!next.delete(name)) next.add(name);
    setOpen(next);
  };
  return (
    <Panel
      title={`${plural(changes.length, 'change')}, ${unchanged.toLocaleString('en')} left alone`}
      flush
      acts={
        open.size > 0 ? (
          <button type="button" className="button button-small" onClick={() => setOpen(new Set())}>
            Collapse all
          </button>
        ) : null
      }
    >
      {changes.length > 5 ? (
        <div className="flex flex-wrap items-center gap-3 border-b border-line px-3 py-2">
          <Filter value={words} label="Filter changes" shown={shown.length} of={changes.length} />
          <Choice
            label="action"
            value={action}
            options={[
              ['', 'any'],
              ...kinds.map((kind): [string, string] => [kind, ACTIONS[kind].word]),
            ]}
            onChoose={(value) => set({ action: value || undefined })}
          />
        </div>
      ) : null}
      <ul aria-label="Changes">
        {shown.slice(0, most).map((change) => {
          const name = `${change.instance}@${change.node}@${change.action}`;
          return (
            <ChangeRow
              key={name}
              change={change}
              open={open.has(name)}
              onToggle={() => toggle(name)}
            />
          );
        })}
      </ul>
      {shown.length > most ? (
        <button type="button" className="button m-3" onClick={() => setMost(most + STEP)}>
          {Math.min(STEP, shown.length - most)} more of {(shown.length - most).toLocaleString('en')}
        </button>
      ) : null}
      {shown.length === 0 ? (
        <p className="px-3 py-2 text-muted">
          {changes.length === 0 ? 'Everything is as declared.' : 'No change matches.'}
        </p>
      ) : null}
    </Panel>
  );
}

export function ActionMark({ action }: { action: Action }) {
  const look = ACTIONS[action];
  return (
    <span className="inline-flex w-24 shrink-0 items-baseline gap-2">
      <span className={`code w-6 text-right font-bold ${look.colour}`}>{look.mark}</span>
      {look.word}
    </span>
  );
}

function ChangeRow({
  change,
  open,
  onToggle,
}: {
  change: Change;
  open: boolean;
  onToggle: () => void;
}) {
  const diff = change.diff ?? '';
  const more = diff !== '' || change.after !== undefined;
  return (
    <li
      data-row={change.instance}
      data-action={change.action}
      className="data-row px-3 py-1.5 last:border-b-0"
    >
      <div className="flex flex-wrap items-baseline gap-x-3">
        <ActionMark action={change.action} />
        <span className="font-medium">{visible(change.instance)}</span>
        <span className="text-muted">
          {change.from ? `${visible(change.from)} → ` : ''}
          {visible(change.node)}
        </span>
        <span className="min-w-0 flex-1 text-muted">{visible(change.reason)}</span>
        {more ? (
          <button
            type="button"
            className="button button-small"
            aria-expanded={open}
            onClick={onToggle}
          >
            {diff !== '' ? 'Diff' : 'Unit'}
            <span className="sr-only"> of {change.instance}</span>
          </button>
        ) : null}
      </div>
      {(change.forces_replacement ?? []).length > 0 ? (
        <div className="pl-[6.75rem] text-bad">
          forces replacement:{' '}
          <span className="code">{visible((change.forces_replacement ?? []).join(', '))}</span>
        </div>
      ) : null}
      {open ? (
        <div className="mt-2">
          {diff !== '' ? (
            <Diff text={diff} label={`What changes in ${change.instance}`} />
          ) : change.after ? (
            <div className="rounded-md border border-line bg-sunken p-3">
              <SpecFacts spec={change.after} />
            </div>
          ) : null}
        </div>
      ) : null}
    </li>
  );
}
