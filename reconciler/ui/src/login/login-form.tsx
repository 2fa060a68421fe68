/**
 * Who is there? One field takes an API key or a one-time code. Knows the wait after wrong ones. Refuses
 * to keep what was typed anywhere but in the field.
 */
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { login } from '../api/client';
import { type ApiError, asApiError } from '../api/problem';
import { span } from '../look/amount';
import { Command } from '../look/copy';
import { ProblemView } from '../look/problem-view';
import { visible } from '../look/text';
import { useNow } from '../look/time';
import { aboutQuery } from './data';

function proofOf(text: string): { key: string } | { code: string } {
  const trimmed = text.trim();
  return trimmed.startsWith('dnk_') ? { key: trimmed } : { code: trimmed };
}

function Wait({ until }: { until: number }) {
  const now = useNow();
  const left = until - now;
  if (left <= 0) return <>You may try again now.</>;
  return <>Too many wrong ones: try again in {span(left)}.</>;
}

export function LoginForm({
  code,
  again,
  onDone,
}: {
  code?: string | undefined;
  /** Whose session has ended. */
  again?: string | undefined;
  onDone: () => void;
}) {
  const about = useQuery(aboutQuery);
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const [until, setUntil] = useState(0);
  const field = useRef<HTMLInputElement>(null);
  const tried = useRef(false);

  const prove = async (proof: { key: string } | { code: string }) => {
    setBusy(true);
    setError(undefined);
    try {
      await login(proof);
      setText('');
      onDone();
    } catch (failure) {
      const told = asApiError(failure);
      if (told.retryAfter) setUntil(Date.now() + told.retryAfter * 1000);
      setError(told);
      field.current?.focus();
      field.current?.select();
    } finally {
      setBusy(false);
    }
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: a code is tried once
  useEffect(() => {
    if (code && !tried.current) {
      tried.current = true;
      void prove({ code });
    }
  }, [code]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() !== '' && !busy) void prove(proofOf(text));
  };

  return (
    <form onSubmit={submit} className="space-y-4">
      {again ? (
        <p>The session of {visible(again)} has ended. Nothing on the page is lost.</p>
      ) : null}
      <label className="block">
        <span className="label">API key or one-time code</span>
        <input
          ref={field}
          className="field code"
          type="password"
          name="key"
          autoComplete="off"
          spellCheck={false}
          // biome-ignore lint/a11y/noAutofocus: the only field of the page
          autoFocus
          value={text}
          aria-invalid={error ? true : undefined}
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      {error ? <ProblemView error={error} /> : null}
      {until > 0 ? (
        <p role="status" data-wait>
          <Wait until={until} />
        </p>
      ) : null}
      <button type="submit" className="button button-main w-full" aria-disabled={busy || undefined}>
        {busy ? 'Logging in…' : 'Log in'}
      </button>
      <details>
        <summary className="text-muted">Where do I get one?</summary>
        <div className="mt-2 space-y-2">
          <p className="text-muted">On a machine with the command line, a code for two minutes:</p>
          <Command line="devnet ui" />
          <p className="text-muted">A key of your own, made by an admin:</p>
          <Command line="devnet apikey create NAME -role viewer" />
        </div>
      </details>
      {about.data ? (
        <p className="text-center text-xs text-muted">
          devnet {visible(about.data.version)}
          {about.data.cluster ? ` · cluster ${visible(about.data.cluster)}` : ''}
        </p>
      ) : null}
    </form>
  );
}
