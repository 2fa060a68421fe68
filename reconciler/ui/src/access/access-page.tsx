/** Who may do what: keys, sessions, and the roles as the API has them. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, lazy, type ReactNode, Suspense, useState } from 'react';
import type { ApiKeyRow, NewApiKey, Role, SessionRow } from '../api/documents';
import { asApiError } from '../api/problem';
import { Act } from '../look/act';
import { useAddress } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Hidden } from '../look/copy';
import { PageFrame, Panel, Tabs } from '../look/page';
import { ProblemView } from '../look/problem-view';
import { type Column, Rows } from '../look/rows';
import { Shape } from '../look/status';
import { visible } from '../look/text';
import { Age } from '../look/time';
import { tell } from '../look/toast';
import { endSession, keysQuery, makeKey, revokeKey, rightsQuery, sessionsQuery } from './data';

const Confirm = lazy(() => import('../look/dialog').then((it) => ({ default: it.Confirm })));

const ROLES: [Role, string][] = [
  ['viewer', 'looks, but not at logs of services'],
  ['planner', 'also makes plans and reads logs'],
  ['editor', 'also applies them'],
  ['admin', 'also has secrets, nodes and keys'],
];

export function AccessPage() {
  const tab = useAddress().tab ?? 'keys';
  const body: Record<string, ReactNode> = {
    keys: <Keys />,
    sessions: <Sessions />,
    roles: <Roles />,
  };
  return (
    <PageFrame title="Access">
      <Tabs
        label="Of access"
        current={tab}
        tabs={[
          { id: 'keys', name: 'Keys' },
          { id: 'sessions', name: 'Sessions' },
          { id: 'roles', name: 'Roles' },
        ]}
      />
      {body[tab] ?? <Keys />}
    </PageFrame>
  );
}

function Keys() {
  const keys = useQuery(keysQuery);
  const [doomed, doom] = useState<ApiKeyRow>();
  const [made, setMade] = useState<NewApiKey>();
  const columns: Column<ApiKeyRow>[] = [
    {
      id: 'name',
      head: 'For',
      width: 'minmax(8rem,2fr)',
      phone: 'lead',
      cell: (row) => <span className="font-medium">{visible(row.name)}</span>,
    },
    {
      id: 'role',
      head: 'Role',
      width: '6rem',
      cell: (row) => <span className="chip">{row.role}</span>,
    },
    {
      id: 'id',
      head: 'Key',
      width: 'minmax(8rem,1fr)',
      phone: 'none',
      cell: (row) => <span className="code">{visible(row.id)}</span>,
    },
    {
      id: 'made',
      head: 'Made',
      width: '6rem',
      cell: (row) => <Age at={row.created_at} suffix=" ago" />,
    },
    {
      id: 'used',
      head: 'Last used',
      width: '7rem',
      phone: 'none',
      cell: (row) =>
        row.last_used_at === undefined ? (
          <span className="text-muted">not told</span>
        ) : row.last_used_at ? (
          <Age at={row.last_used_at} suffix=" ago" />
        ) : (
          'never'
        ),
    },
    {
      id: 'acts',
      head: 'Acts',
      hidden: true,
      width: '6rem',
      phone: 'side',
      right: true,
      cell: (row) => (
        <Act
          needs="admin"
          look="button-small button-bad"
          label={`Revoke ${row.name}`}
          onAct={() => doom(row)}
        >
          Revoke…
        </Act>
      ),
    },
  ];
  return (
    <>
      <NewKey onMade={setMade} />
      {made ? (
        <Panel title={`The key ${made.name}, this once`}>
          <Hidden text={made.key} what="the key" />
          <p className="mt-2 text-muted">
            It is stored nowhere in readable form: copy it before you leave the page.
          </p>
        </Panel>
      ) : null}
      <Answer query={keys}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="No key but the first one">
              <p>
                The first key lies in the control plane's data directory. Make one for each person
                and each job.
              </p>
            </Empty>
          ) : (
            <div className="panel">
              <Rows label="Keys" rows={rows} columns={columns} keyOf={(row) => row.id} />
            </div>
          )
        }
      </Answer>
      {doomed ? <Revoke row={doomed} onClose={() => doom(undefined)} /> : null}
    </>
  );
}

function Revoke({ row, onClose }: { row: ApiKeyRow; onClose: () => void }) {
  const queries = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => revokeKey(row.id),
    onSuccess: () => {
      tell(`${row.name} is revoked.`);
      void queries.invalidateQueries({ queryKey: ['apikeys'] });
      onClose();
    },
  });
  return (
    <Suspense>
      <Confirm
        title={`Revoke the key ${row.name}`}
        act="Revoke"
        needs="admin"
        bad
        busy={revoke.isPending}
        error={revoke.error}
        onAct={() => revoke.mutate()}
        onClose={onClose}
      >
        <p>Its sessions, streams and connections end within five seconds.</p>
      </Confirm>
    </Suspense>
  );
}

function NewKey({ onMade }: { onMade: (key: NewApiKey) => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const make = useMutation({
    mutationFn: () => makeKey(name.trim(), role),
    onSuccess: (key) => {
      onMade(key);
      setName('');
      void queries.invalidateQueries({ queryKey: ['apikeys'] });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== '') make.mutate();
  };
  return (
    <Panel title="A new key">
      <form onSubmit={submit} className="grid gap-3 sm:grid-cols-[1fr_20rem_auto] sm:items-end">
        <label>
          <span className="label">Who or what it is for</span>
          <input
            className="field"
            value={name}
            autoComplete="off"
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        <label>
          <span className="label">Role</span>
          <select
            className="field"
            value={role}
            onChange={(event) => setRole(event.target.value as Role)}
          >
            {ROLES.map(([id, what]) => (
              <option key={id} value={id}>
                {id}: {what}
              </option>
            ))}
          </select>
        </label>
        <Act
          submit
          needs="admin"
          look="button-main"
          busy={make.isPending}
          because={name.trim() === '' ? 'say what it is for' : undefined}
        >
          Make it
        </Act>
      </form>
      {make.error ? (
        <div className="mt-3">
          <ProblemView error={make.error} />
        </div>
      ) : null}
    </Panel>
  );
}

function Sessions() {
  const sessions = useQuery(sessionsQuery);
  const queries = useQueryClient();
  const end = useMutation({
    mutationFn: endSession,
    onSuccess: () => void queries.invalidateQueries({ queryKey: ['sessions'] }),
    onError: (error) => tell(asApiError(error).message),
  });
  const columns: Column<SessionRow>[] = [
    {
      id: 'name',
      head: 'Who',
      width: 'minmax(8rem,2fr)',
      phone: 'lead',
      cell: (row) => <span className="font-medium">{visible(row.name)}</span>,
    },
    {
      id: 'role',
      head: 'Role',
      width: '6rem',
      cell: (row) => <span className="chip">{row.role}</span>,
    },
    {
      id: 'from',
      head: 'From',
      width: 'minmax(8rem,1fr)',
      cell: (row) => <span className="code">{visible(row.from ?? '')}</span>,
    },
    {
      id: 'seen',
      head: 'Seen',
      width: '6rem',
      cell: (row) => <Age at={row.seen_at ?? row.created_at} suffix=" ago" />,
    },
    {
      id: 'until',
      head: 'Until',
      width: 'minmax(10rem,1fr)',
      phone: 'none',
      cell: (row) => (
        <span className="text-muted">
          {row.expires_at ? new Date(row.expires_at).toLocaleString() : ''}
        </span>
      ),
    },
    {
      id: 'acts',
      head: 'Acts',
      hidden: true,
      width: '5rem',
      phone: 'side',
      right: true,
      cell: (row) => (
        <Act
          needs="admin"
          look="button-small button-bad"
          label={`End the session of ${row.name}`}
          onAct={() => end.mutate(row.id)}
        >
          End
        </Act>
      ),
    },
  ];
  return (
    <Answer query={sessions}>
      {(rows) => (
        <div className="panel">
          <Rows label="Sessions" rows={rows} columns={columns} keyOf={(row) => row.id} />
        </div>
      )}
    </Answer>
  );
}

function Roles() {
  const rights = useQuery(rightsQuery);
  return (
    <>
      <Panel title="Each role may do all that the one before it may">
        <dl className="grid grid-cols-[5rem_1fr] gap-y-1">
          {ROLES.map(([role, what]) => (
            <div key={role} className="contents">
              <dt className="font-medium">{role}</dt>
              <dd className="text-muted">{what}</dd>
            </div>
          ))}
        </dl>
      </Panel>
      <Answer query={rights}>
        {(rows) => (
          <Panel flush>
            <div className="overflow-x-auto">
              <table className="w-full">
                <caption className="sr-only">Routes and roles</caption>
                <thead>
                  <tr className="head-row text-left">
                    <th className="px-3 py-1 font-normal">Route</th>
                    {ROLES.map(([role]) => (
                      <th key={role} className="px-3 py-1 font-normal">
                        {role}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {rows.map((right) => (
                    <tr key={`${right.method} ${right.path}`} className="data-row">
                      <td className="px-3 py-1">
                        <span className="code">
                          {right.method} {right.path}
                        </span>
                      </td>
                      {ROLES.map(([role], index) => {
                        const may = index >= ROLES.findIndex(([one]) => one === right.role);
                        return (
                          <td key={role} className="px-3 py-1">
                            <Shape
                              mark={may ? 'completed' : 'not-run'}
                              title={may ? 'may' : 'may not'}
                            />
                          </td>
                        );
                      })}
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </Panel>
        )}
      </Answer>
    </>
  );
}
