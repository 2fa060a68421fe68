/** Secrets by name. Draws `GET /secrets`; an admin sets and deletes them, nobody reads them. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type FormEvent, lazy, Suspense, useRef, useState } from 'react';
import type { SecretRow } from '../api/documents';
import { Act } from '../look/act';
import { useAddress, useAddressSetter } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Filter, matches } from '../look/filter';
import { PageFrame, Panel } from '../look/page';
import { ProblemView } from '../look/problem-view';
import { type Column, parseSort, Rows } from '../look/rows';
import { visible } from '../look/text';
import { Age } from '../look/time';
import { tell } from '../look/toast';
import { deleteSecret, generate, secretsQuery, setSecret } from './data';

const Confirm = lazy(() => import('../look/dialog').then((it) => ({ default: it.Confirm })));

function Users({ names }: { names: string[] | undefined }) {
  if (!names) return <span className="text-muted">not told</span>;
  if (names.length === 0) return <span className="text-muted">nobody</span>;
  return names.map((name, index) => (
    <span key={name}>
      {index > 0 ? ', ' : ''}
      <Link to="/services/$service" params={{ service: name }} className="link">
        {visible(name)}
      </Link>
    </span>
  ));
}

export function SecretsPage() {
  const secrets = useQuery(secretsQuery);
  const address = useAddress();
  const set = useAddressSetter();
  const [doomed, doom] = useState<SecretRow>();
  const [again, setAgain] = useState<string>();
  const words = address.q ?? '';
  const columns: Column<SecretRow>[] = [
    {
      id: 'name',
      head: 'Secret',
      width: 'minmax(8rem,2fr)',
      phone: 'lead',
      by: (row) => row.name,
      cell: (row) => <span className="code">{visible(row.name)}</span>,
    },
    {
      id: 'version',
      head: 'Version',
      width: '5rem',
      right: true,
      by: (row) => row.version,
      cell: (row) => row.version,
    },
    {
      id: 'at',
      head: 'Set',
      width: '6rem',
      by: (row) => -Date.parse(row.updated_at),
      cell: (row) => <Age at={row.updated_at} suffix=" ago" />,
    },
    {
      id: 'used',
      head: 'Used by',
      width: 'minmax(8rem,2fr)',
      phone: 'none',
      cell: (row) => <Users names={row.used_by} />,
    },
    {
      id: 'acts',
      head: 'Acts',
      hidden: true,
      width: '11rem',
      phone: 'side',
      right: true,
      cell: (row) => (
        <span className="inline-flex gap-2">
          <Act
            needs="admin"
            look="button-small"
            label={`Set ${row.name} anew`}
            onAct={() => setAgain(row.name)}
          >
            Set anew
          </Act>
          <Act
            needs="admin"
            look="button-small button-bad"
            label={`Delete ${row.name}`}
            onAct={() => doom(row)}
          >
            Delete…
          </Act>
        </span>
      ),
    },
  ];
  return (
    <PageFrame
      title="Secrets"
      about="Written here or with devnet secret set, given to the units that refer to them, and shown to nobody again."
    >
      <SetForm key={again ?? ''} name={again ?? ''} />
      <Answer query={secrets}>
        {(rows) => {
          const shown = rows.filter((row) => matches(words, [row.name, ...(row.used_by ?? [])]));
          if (rows.length === 0) {
            return (
              <Empty title="No secret yet">
                <p>
                  A service takes one with{' '}
                  <span className="code">secret "password" from="NAME"</span> in the cluster file.
                </p>
              </Empty>
            );
          }
          return (
            <>
              <div className="mb-3">
                <Filter
                  value={words}
                  label="Filter secrets"
                  shown={shown.length}
                  of={rows.length}
                />
              </div>
              <div className="panel">
                <Rows
                  label="Secrets"
                  rows={shown}
                  columns={columns}
                  keyOf={(row) => row.name}
                  sort={parseSort(address.sort)}
                  onSort={(sort) => set({ sort })}
                />
              </div>
            </>
          );
        }}
      </Answer>
      {doomed ? <DeleteDialog secret={doomed} onClose={() => doom(undefined)} /> : null}
    </PageFrame>
  );
}

function DeleteDialog({ secret, onClose }: { secret: SecretRow; onClose: () => void }) {
  const queries = useQueryClient();
  const remove = useMutation({
    mutationFn: () => deleteSecret(secret.name),
    onSuccess: () => {
      tell(`${secret.name} is deleted.`);
      void queries.invalidateQueries({ queryKey: ['secrets'] });
      onClose();
    },
  });
  const users = secret.used_by ?? [];
  return (
    <Suspense>
      <Confirm
        title={`Delete the secret ${secret.name}`}
        act="Delete"
        needs="admin"
        typed={secret.name}
        bad
        busy={remove.isPending}
        error={remove.error}
        onAct={() => remove.mutate()}
        onClose={onClose}
      >
        <p>
          {users.length > 0
            ? `It is used by ${users.join(', ')}: what runs goes on, and cannot be planned again without it.`
            : 'Whatever refers to it runs on, and cannot be planned again without it.'}
        </p>
      </Confirm>
    </Suspense>
  );
}

function SetForm({ name: given }: { name: string }) {
  const queries = useQueryClient();
  const [name, setName] = useState(given);
  const [made, setMade] = useState(false);
  const value = useRef<HTMLTextAreaElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const save = useMutation({
    // The value is read from its field when it is sent, and is in no state of the page.
    mutationFn: () => {
      const chosen = file.current?.files?.[0];
      return setSecret(name, chosen ?? value.current?.value ?? '');
    },
    onSuccess: () => {
      tell(`${name} is set.`);
      if (value.current) value.current.value = '';
      if (file.current) file.current.value = '';
      setName('');
      setMade(false);
      void queries.invalidateQueries({ queryKey: ['secrets'] });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name !== '') save.mutate();
  };
  return (
    <Panel title={given === '' ? 'Set a secret' : `Set ${given} anew`}>
      <form
        onSubmit={submit}
        className="grid gap-3 sm:grid-cols-[16rem_1fr_auto] sm:items-end"
        autoComplete="off"
      >
        <label>
          <span className="label">Name</span>
          <input
            className="field code"
            value={name}
            spellCheck={false}
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        <label>
          <span className="label">Value{made ? ' (made here, not shown)' : ''}</span>
          <textarea
            ref={value}
            rows={1}
            className="field code [-webkit-text-security:disc]"
            spellCheck={false}
            data-secret-value
          />
        </label>
        <div className="flex gap-2">
          <button
            type="button"
            className="button"
            onClick={() => {
              if (value.current)
                value.current.value = generate(32, (into) => void crypto.getRandomValues(into));
              setMade(true);
            }}
          >
            Make one
          </button>
          <Act
            submit
            needs="admin"
            look="button-main"
            busy={save.isPending}
            because={name === '' ? 'it needs a name' : undefined}
          >
            Set
          </Act>
        </div>
        <label className="sm:col-span-3">
          <span className="text-muted">or a file, as it is: </span>
          <input ref={file} type="file" className="max-w-full" />
        </label>
      </form>
      {save.error ? (
        <div className="mt-3">
          <ProblemView error={save.error} />
        </div>
      ) : null}
    </Panel>
  );
}
