/**
 * One sentence at the edge of the screen, politely told. Knows the newest one. Refuses to hold what
 * must not be missed: that stands on the page.
 */
import { useSyncExternalStore } from 'react';

let sentence: { text: string; number: number } | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function set(next: typeof sentence): void {
  sentence = next;
  for (const listener of [...listeners]) listener();
}

export function tell(text: string): void {
  set({ text, number: (sentence?.number ?? 0) + 1 });
  clearTimeout(timer);
  timer = setTimeout(() => set(undefined), 6000);
}

export function Toast() {
  const now = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => sentence,
  );
  return (
    <div
      aria-live="polite"
      className="pointer-events-none fixed inset-x-0 bottom-16 z-50 flex justify-center sm:bottom-6"
    >
      {now ? (
        <div className="pointer-events-auto flex items-center gap-3 rounded-md border border-line-strong bg-raised px-4 py-2 shadow-lg">
          {now.text}
          <button
            type="button"
            className="button button-plain button-small"
            aria-label="Dismiss"
            onClick={() => set(undefined)}
          >
            ×
          </button>
        </div>
      ) : null}
    </div>
  );
}
