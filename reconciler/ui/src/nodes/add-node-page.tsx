/**
 * Lets a machine join: a token, the line to paste (and the same as a QR code), and what has been seen of
 * the node since. Knows the steps of a join. Refuses to keep the token longer than the page.
 */
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type FormEvent, useEffect, useState } from 'react';
import type { NewJoinToken, NodeRow } from '../api/documents';
import { eventsQuery } from '../events/data';
import { Act } from '../look/act';
import { span } from '../look/amount';
import { Answer } from '../look/answer';
import { Command } from '../look/copy';
import { PageFrame, Panel } from '../look/page';
import { ProblemView } from '../look/problem-view';
import { type Mark, StatusMark } from '../look/status';
import { visible } from '../look/text';
import { Age, useNow } from '../look/time';
import { makeToken, nodesQuery, type TokenWish, tokensQuery } from './data';
import { QrCode } from './qr';

const LIVES: [number, string][] = [
  [900, '15 minutes'],
  [3600, '1 hour'],
  [86_400, '1 day'],
  [604_800, '7 days'],
];

const DRAFT = 'devnet.add-node';

function kept(): { name: string; life: number } {
  try {
    return {
      name: '',
      life: 3600,
      ...(JSON.parse(sessionStorage.getItem(DRAFT) ?? '{}') as object),
    };
  } catch {
    return { name: '', life: 3600 };
  }
}

export function AddNodePage() {
  const [form, setForm] = useState(kept);
  const [replace, setReplace] = useState(false);
  const [begun, setBegun] = useState(0);
  const nodes = useQuery(nodesQuery);
  const make = useMutation({ mutationFn: (wish: TokenWish) => makeToken(wish) });
  useEffect(() => {
    sessionStorage.setItem(DRAFT, JSON.stringify(form));
  }, [form]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBegun(Date.now());
    make.mutate({ ttl_seconds: form.life, node: form.name.trim() || null, replace });
  };
  return (
    <PageFrame title="Add a node" crumbs={[{ to: '/nodes', name: 'Nodes' }]}>
      <div className="max-w-3xl">
        <Panel title="1 A token for one machine">
          <form onSubmit={submit} className="grid gap-3 sm:grid-cols-[1fr_10rem_auto] sm:items-end">
            <label>
              <span className="label">Name of the node</span>
              <input
                className="field"
                value={form.name}
                placeholder="any name"
                autoComplete="off"
                onChange={(event) => setForm({ ...form, name: event.target.value })}
              />
            </label>
            <label>
              <span className="label">Good for</span>
              <select
                className="field"
                value={form.life}
                onChange={(event) => setForm({ ...form, life: Number(event.target.value) })}
              >
                {LIVES.map(([seconds, name]) => (
                  <option key={seconds} value={seconds}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
            <Act submit needs="admin" look="button-main" busy={make.isPending}>
              Make a token
            </Act>
            <label className="flex items-center gap-2 sm:col-span-3">
              <input
                type="checkbox"
                checked={replace}
                onChange={(event) => setReplace(event.target.checked)}
              />
              It may take over the name of a node that is known already
            </label>
          </form>
          {make.error ? (
            <div className="mt-3">
              <ProblemView error={make.error} />
            </div>
          ) : null}
        </Panel>
        {make.data ? <Token token={make.data} name={form.name.trim()} /> : null}
        {make.data ? (
          <Answer query={nodes}>
            {(rows) => <Seen rows={rows} name={form.name.trim()} begun={begun} />}
          </Answer>
        ) : null}
        <OpenTokens />
      </div>
    </PageFrame>
  );
}

/** The line to paste: the server's own, or made of what the page knows. */
export function joinLine(token: NewJoinToken, name: string, origin: string): string {
  if (token.command) return token.command;
  const named = name === '' ? '' : ` --name ${name}`;
  // Not as an argument: others on the machine read command lines.
  return `DEVNET_TOKEN=${token.token} devnet-agent up --server ${token.server ?? origin}${named}`;
}

function Token({ token, name }: { token: NewJoinToken; name: string }) {
  const [shown, show] = useState(false);
  const now = useNow();
  const left = Date.parse(token.expires_at) - now;
  const line = joinLine(token, name, window.location.origin);
  return (
    <Panel title="2 On the machine, as root">
      {left > 0 ? (
        <>
          <Command line={line} what="the line" />
          <div className="mt-3 flex flex-wrap items-center gap-3">
            <button
              type="button"
              className="button"
              aria-expanded={shown}
              onClick={() => show(!shown)}
            >
              {shown ? 'Hide the QR code' : 'Show it as a QR code'}
            </button>
            <span className="text-muted">
              one use, good for another <span data-countdown>{span(left)}</span>
            </span>
          </div>
          {shown ? (
            <div className="mt-3">
              <QrCode text={line} label="The same line as a QR code" />
              <p className="mt-1 text-muted">
                For a phone's terminal, or a machine with a camera. Whoever reads it can join.
              </p>
            </div>
          ) : null}
        </>
      ) : (
        <p role="alert">
          <StatusMark mark="exited" word="This token has expired: make another one above." />
        </p>
      )}
    </Panel>
  );
}

/** What it can run, by name. */
function enginesOf(row: NodeRow): string {
  const there = (row.engines ?? []).filter((engine) => engine.available);
  return there.map((engine) => [engine.name, engine.version].filter(Boolean).join(' ')).join(', ');
}

const HINTS = [
  'Does the machine reach the control plane’s address? A firewall between them is the usual reason.',
  'Is its clock right? Certificates are good from the minute they are made.',
  'Is its name taken? Then let the token take it over.',
];

function Seen({ rows, name, begun }: { rows: NodeRow[]; name: string; begun: number }) {
  const now = useNow();
  const events = useQuery(eventsQuery({ kind: 'node', q: '' }));
  const since = events.data?.items.filter((event) => Date.parse(event.at) >= begun - 1000) ?? [];
  const joined = since.find(
    (event) => / joined$/.test(event.message) && (name === '' || event.subject === `node.${name}`),
  );
  const found = joined?.subject.replace(/^node\./, '') ?? (name === '' ? undefined : name);
  const row = joined ? rows.find((one) => one.name === found) : undefined;
  const connected = row?.status === 'online' && row.never_connected !== true;
  const steps: [string, string, boolean][] = [
    ['joined', 'not joined yet', row !== undefined],
    ['connected', 'not connected yet', connected],
    ['first report', 'no report yet', connected && row?.last_seen !== ''],
  ];
  const waiting = steps.find(([, , done]) => !done);
  return (
    <Panel title="3 What is seen of it">
      <ul className="flex flex-wrap gap-x-6 gap-y-1" aria-live="polite" data-seen>
        {steps.map(([word, not, done]) => {
          const mark: Mark = done ? 'completed' : word === waiting?.[0] ? 'starting' : 'waiting';
          return (
            <li key={word}>
              <StatusMark mark={mark} word={done ? word : not} />
            </li>
          );
        })}
        {row?.engines ? (
          <li className="text-muted">runs {visible(enginesOf(row) || 'nothing')}</li>
        ) : null}
      </ul>
      {row && found ? (
        <p className="mt-2">
          <Link to="/nodes/$node" params={{ node: found }} className="link">
            {visible(found)}
          </Link>{' '}
          is here. Give it tags and a zone in the cluster file:{' '}
          <span className="code">node "{visible(found)}" zone="…"</span>
        </p>
      ) : null}
      {row?.problem ? <p className="mt-2 text-warn">{visible(row.problem)}</p> : null}
      {waiting && now - begun > 60_000 ? (
        <ul className="mt-2 list-disc pl-5 text-muted">
          {HINTS.map((hint) => (
            <li key={hint}>{hint}</li>
          ))}
        </ul>
      ) : null}
    </Panel>
  );
}

function OpenTokens() {
  const tokens = useQuery(tokensQuery);
  // A control plane without this list has nothing to show here, and the page works without it.
  if (!tokens.data || tokens.data.length === 0) return null;
  return (
    <Panel title="Tokens that are still good" flush>
      <ul aria-label="Tokens">
        {tokens.data.map((token) => (
          <li key={token.id} className="data-row flex flex-wrap items-center gap-x-4 px-3 py-1.5">
            <span className="code">{visible(token.id)}</span>
            <span>{token.node ? `for ${visible(token.node)}` : 'for any name'}</span>
            <span className="text-muted">
              {token.used_at ? (
                <>
                  used <Age at={token.used_at} suffix=" ago" />
                </>
              ) : (
                <>until {visible(token.expires_at)}</>
              )}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
