/**
 * What an edit would do: its diagnostics, its plan, and the three ways on: copy, patch, commit. Knows
 * to wait until typing stops.
 */

import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { asApiError } from '../api/problem';
import { Act } from '../look/act';
import { Answer } from '../look/answer';
import { Code } from '../look/code';
import { CopyButton } from '../look/copy';
import { Panel } from '../look/page';
import { DiagnosticList, ProblemView } from '../look/problem-view';
import { short, visible } from '../look/text';
import { tell } from '../look/toast';
import { PlanBrief } from '../whatif/plan-brief';
import { commitDraft, type Draft, type DraftEdit, draftPlanQuery, draftQuery } from './data';

/** The value, once it has stopped changing for so long. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, set] = useState(value);
  const text = JSON.stringify(value);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text says whether it changed
  useEffect(() => {
    const timer = setTimeout(() => set(value), ms);
    return () => clearTimeout(timer);
  }, [text, ms]);
  return settled;
}

export function DraftView({
  base,
  edits,
  message,
}: {
  base: string | undefined;
  edits: DraftEdit[] | undefined;
  message: string;
}) {
  const settled = useSettled(edits, 400);
  const draft = useQuery(draftQuery(base, settled));
  if (!base) {
    return (
      <Panel title="As a change of the repository">
        <p className="text-muted">
          The control plane follows no source that it has read. Copy the block into a cluster file.
        </p>
      </Panel>
    );
  }
  if (!settled) return null;
  const absent = draft.error && asApiError(draft.error).failure === 'not-available';
  return (
    <Panel title={`As a change of ${short(base)}`}>
      {absent ? (
        <p className="text-muted">
          This control plane keeps no drafts yet: copy the block, add it to the cluster file and
          commit it. The plan appears here under Plans as soon as the commit is seen.
        </p>
      ) : (
        <Answer query={draft}>{(data) => <DraftBody draft={data} message={message} />}</Answer>
      )}
    </Panel>
  );
}

function DraftBody({ draft, message }: { draft: Draft; message: string }) {
  const plan = useQuery(draftPlanQuery(draft.id));
  const errors = draft.diagnostics.some((one) => one.severity === 'error');
  return (
    <div className="space-y-3">
      <DiagnosticList items={draft.diagnostics} />
      {errors ? null : <Answer query={plan}>{(data) => <PlanBrief plan={data.plan} />}</Answer>}
      <div className="flex flex-wrap gap-2">
        <CopyButton text={draft.patch} what="the patch" />
        <button type="button" className="button button-small" onClick={() => save(draft.patch)}>
          Download the patch
        </button>
      </div>
      <details>
        <summary>The patch</summary>
        <div className="mt-1 rounded-md border border-line bg-sunken p-2">
          <Code text={draft.patch} label="The patch" kind="patch" />
        </div>
      </details>
      <Commit
        draft={draft}
        message={message}
        blocked={errors ? 'the draft has errors' : undefined}
      />
    </div>
  );
}

function save(patch: string): void {
  const address = URL.createObjectURL(new Blob([patch], { type: 'text/x-patch' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = 'devnet.patch';
  link.click();
  URL.revokeObjectURL(address);
}

function Commit({
  draft,
  message: usual,
  blocked,
}: {
  draft: Draft;
  message: string;
  blocked: string | undefined;
}) {
  const [message, setMessage] = useState('');
  const [branch, setBranch] = useState(`devnet/ui-${draft.id.slice(-8)}`);
  const commit = useMutation({
    mutationFn: () => commitDraft(draft.id, message || usual, branch),
    onSuccess: (made) => tell(`Committed ${short(made.commit)} to ${made.branch}.`),
  });
  const readOnly = commit.error ? asApiError(commit.error).kind === 'source-read-only' : false;
  return (
    <form
      className="grid gap-2 sm:grid-cols-[1fr_14rem_auto] sm:items-end"
      onSubmit={(event) => {
        event.preventDefault();
        if (!blocked) commit.mutate();
      }}
    >
      <label>
        <span className="label">Message</span>
        <input
          className="field"
          value={message}
          placeholder={usual}
          onChange={(event) => setMessage(event.target.value)}
        />
      </label>
      <label>
        <span className="label">Branch</span>
        <input
          className="field code"
          value={branch}
          onChange={(event) => setBranch(event.target.value)}
        />
      </label>
      <Act
        submit
        needs="editor"
        look="button-main"
        busy={commit.isPending}
        because={blocked ?? (readOnly ? 'the source is read-only: take the patch' : undefined)}
      >
        Commit
      </Act>
      {commit.error ? (
        <div className="sm:col-span-3">
          <ProblemView error={commit.error} />
        </div>
      ) : null}
      {commit.data ? (
        <p className="sm:col-span-3" role="status">
          Committed <span className="code">{short(commit.data.commit)}</span> to{' '}
          <span className="code">{visible(commit.data.branch)}</span>.
        </p>
      ) : null}
    </form>
  );
}
