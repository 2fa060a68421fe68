/**
 * Ages that go on counting. Knows one clock for the whole page, which ticks only while somebody
 * looks. Refuses to guess a time that was not told.
 */
import { useSyncExternalStore } from 'react';
import { age } from './amount';

let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function tick(): void {
  if (document.visibilityState !== 'visible') return;
  now = Date.now();
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    now = Date.now();
    timer = setInterval(tick, 1000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer !== undefined) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

export function Age({ at, suffix = '' }: { at: string | null | undefined; suffix?: string }) {
  const current = useNow();
  const then = at ? Date.parse(at) : Number.NaN;
  if (Number.isNaN(then)) return <span className="text-muted">unknown</span>;
  return (
    <time dateTime={at ?? ''} title={new Date(then).toLocaleString()}>
      {age(then, current)}
      {suffix}
    </time>
  );
}
