/** What is loaded, what fits, what is coming. Draws `GET /models` and the GPUs of `GET /nodes`. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import type { NodeRow } from '../api/documents';
import { asApiError } from '../api/problem';
import { Act } from '../look/act';
import { bytes, megabytes } from '../look/amount';
import { Answer, Empty } from '../look/answer';
import { Meter } from '../look/meter';
import { PageFrame, Panel } from '../look/page';
import { ProblemView } from '../look/problem-view';
import { type Mark, StatusMark } from '../look/status';
import { instanceSlug, visible } from '../look/text';
import { tell } from '../look/toast';
import { nodesQuery } from '../nodes/data';
import { changeModel, type ModelRow, modelsQuery, type Needs, wouldFit } from './data';

const MARKS: Record<string, Mark> = {
  declared: 'waiting',
  pulling: 'starting',
  ready: 'completed',
  loaded: 'healthy',
  failed: 'failed',
};

export function ModelsPage() {
  const models = useQuery(modelsQuery);
  const nodes = useQuery(nodesQuery);
  return (
    <PageFrame title="Models">
      <Answer query={nodes} rows={3}>
        {(rows) => <Gpus nodes={rows} models={models.data ?? []} />}
      </Answer>
      <Panel title="By service" flush>
        <div className="p-3">
          <Answer query={models}>
            {(rows) =>
              rows.length === 0 ? (
                <Empty title="No service declares a model">
                  <p>
                    Install{' '}
                    <Link
                      to="/catalog/$component"
                      params={{ component: 'ollama' }}
                      className="link"
                    >
                      ollama
                    </Link>{' '}
                    and add <span className="code">model "llama3.1:8b"</span> to it.
                  </p>
                </Empty>
              ) : (
                <ul aria-label="Models">
                  {rows.map((row) => (
                    <ModelLine key={`${row.instance}/${row.name}`} row={row} />
                  ))}
                </ul>
              )
            }
          </Answer>
        </div>
      </Panel>
      <WouldFit />
    </PageFrame>
  );
}

function Gpus({ nodes, models }: { nodes: NodeRow[]; models: ModelRow[] }) {
  const told = nodes.filter((node) => node.gpus !== undefined);
  const gpus = told.flatMap((node) =>
    (node.gpus ?? []).map((gpu, index) => ({ node, gpu, index })),
  );
  if (gpus.length === 0) {
    return (
      <Panel title="GPUs">
        <p className="text-muted">
          {told.length === nodes.length
            ? 'No node has a GPU.'
            : `Of ${told.length} of ${nodes.length} nodes it is known that they have none.`}
        </p>
      </Panel>
    );
  }
  return (
    <Panel title="GPUs">
      <div className="grid gap-3 lg:grid-cols-2">
        {gpus.map(({ node, gpu, index }) => {
          const mine = models.filter(
            (row) => row.node === node.name && (row.gpus ?? []).includes(gpu.id),
          );
          const parts = mine.flatMap((row) => (row.needs ? partsOf(row.name, row.needs) : []));
          const measured = mine.reduce((total, row) => total + (row.measured_mb ?? 0), 0);
          return (
            <Meter
              key={gpu.id}
              label={`${node.name} gpu${index} ${gpu.model}`}
              whole={gpu.mem_mb}
              parts={
                parts.length > 0
                  ? parts
                  : [{ amount: gpu.placed_mb, name: 'placed', kind: 'placed' }]
              }
              measured={measured > 0 ? measured : undefined}
              text={`${megabytes(gpu.placed_mb)} of ${megabytes(gpu.mem_mb)}`}
            />
          );
        })}
      </div>
    </Panel>
  );
}

const MB = 1024 * 1024;

function partsOf(name: string, needs: Needs) {
  const kind = needs.certain ? ('placed' as const) : ('estimate' as const);
  return [
    { amount: needs.weights / MB, name: `${name} weights`, kind },
    { amount: needs.context / MB, name: `${name} context`, kind: 'reserved' as const },
    { amount: needs.overhead / MB, name: `${name} overhead`, kind },
  ];
}

function Terms({ needs }: { needs: Needs }) {
  return (
    <span className="text-muted" data-terms>
      weights {bytes(needs.weights)} + context {bytes(needs.context)} + overhead{' '}
      {bytes(needs.overhead)} = {bytes(needs.weights + needs.context + needs.overhead)}
      {needs.certain ? '' : ' (an estimate)'}
    </span>
  );
}

function ModelLine({ row }: { row: ModelRow }) {
  const queries = useQueryClient();
  const change = useMutation({
    mutationFn: (act: 'load' | 'unload') => changeModel(row, act),
    onSuccess: () => void queries.invalidateQueries({ queryKey: ['models'] }),
    onError: (error) => tell(asApiError(error).message),
  });
  const loaded = row.state === 'loaded';
  return (
    <li className="data-row flex flex-wrap items-center gap-x-4 gap-y-1 py-1.5 last:border-b-0">
      <span className="min-w-40 font-medium">{visible(row.name)}</span>
      <StatusMark mark={MARKS[row.state] ?? 'unknown'} word={visible(row.state)} />
      {row.state === 'pulling' && row.total ? (
        <span>
          {bytes(row.done ?? 0)} of {bytes(row.total)}
        </span>
      ) : null}
      <Link
        to="/instances/$instance"
        params={{ instance: instanceSlug(row.instance) }}
        className="link"
      >
        {visible(row.instance)}
      </Link>
      <span className="text-muted">on {visible(row.node)}</span>
      <span className="flex-1">{row.needs ? <Terms needs={row.needs} /> : null}</span>
      <Act
        needs="editor"
        look="button-small"
        busy={change.isPending}
        label={`${loaded ? 'Unload' : 'Load'} ${row.name}`}
        onAct={() => change.mutate(loaded ? 'unload' : 'load')}
      >
        {loaded ? 'Unload' : 'Load'}
      </Act>
    </li>
  );
}

function WouldFit() {
  const [name, setName] = useState('');
  const [context, setContext] = useState('8192');
  const [parallel, setParallel] = useState('1');
  const ask = useMutation({
    mutationFn: () => wouldFit(name.trim(), Number(context), Number(parallel)),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== '') ask.mutate();
  };
  return (
    <Panel title="Would it fit?">
      <form onSubmit={submit} className="grid gap-3 sm:grid-cols-[1fr_8rem_8rem_auto] sm:items-end">
        <label>
          <span className="label">Model</span>
          <input
            className="field"
            value={name}
            placeholder="llama3.1:8b"
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        <label>
          <span className="label">Context</span>
          <input
            className="field"
            type="number"
            min="1"
            value={context}
            onChange={(event) => setContext(event.target.value)}
          />
        </label>
        <label>
          <span className="label">At once</span>
          <input
            className="field"
            type="number"
            min="1"
            value={parallel}
            onChange={(event) => setParallel(event.target.value)}
          />
        </label>
        <Act
          submit
          needs="planner"
          look="button-main"
          busy={ask.isPending}
          because={name.trim() === '' ? 'name a model' : undefined}
        >
          Ask
        </Act>
      </form>
      {ask.error ? (
        <div className="mt-3">
          <ProblemView error={ask.error} />
        </div>
      ) : null}
      {ask.data ? (
        <div className="mt-3">
          <Terms needs={ask.data.needs} />
          <ul>
            {ask.data.nodes.map((one) => (
              <li key={one.node} className="flex gap-3">
                <StatusMark
                  mark={one.fits === undefined ? 'unknown' : one.fits ? 'completed' : 'waiting'}
                  word={visible(one.node)}
                />
                <span className="text-muted">
                  {one.free_mb === undefined ? '' : `${megabytes(one.free_mb)} free `}
                  {visible(one.text ?? '')}
                </span>
              </li>
            ))}
          </ul>
        </div>
      ) : null}
    </Panel>
  );
}
