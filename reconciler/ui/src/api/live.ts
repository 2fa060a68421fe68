/**
 * The app's own watch: what changed becomes queries that are read again. Knows which queries a topic
 * is about. Refuses to know pages.
 */
import type { Query, QueryClient } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';
import { API, ask } from './client';
import { asApiError, unreachable } from './problem';
import { end } from './session';
import { type Live, Watch } from './watch';

/** Topics of the stream, and the first words of the queries that show them. */
const SHOWN_BY: Record<string, string[]> = {
  status: ['status'],
  nodes: ['nodes', 'status', 'usage'],
  services: ['services', 'status'],
  instances: ['instances', 'services', 'status', 'models'],
  plans: ['plans', 'status'],
  deployments: ['deployments', 'status'],
  deployment: ['deployments', 'status'],
  events: ['events'],
  revisions: ['revisions', 'status', 'templates'],
  source: ['revisions', 'status', 'templates'],
  secrets: ['secrets'],
  apikeys: ['apikeys', 'sessions'],
  sessions: ['sessions'],
  tokens: ['tokens'],
  models: ['models'],
  templates: ['templates'],
};

export function queriesOf(topics: string[]): Set<string> {
  const found = new Set<string>();
  for (const topic of topics) {
    const word = topic.split(':', 1)[0] ?? topic;
    for (const query of SHOWN_BY[word] ?? [word]) found.add(query);
  }
  return found;
}

let live: Live = { state: 'connecting' };
const listeners = new Set<() => void>();
let watch: Watch | undefined;

function setLive(next: Live): void {
  live = next;
  for (const listener of [...listeners]) listener();
}

/** A route that the control plane does not have is not asked again until the page is opened anew. */
function mayChange(query: Query): boolean {
  return !(query.state.error && asApiError(query.state.error).failure === 'not-available');
}

/** Begins to watch. The answer ends it. */
export function follow(queries: QueryClient): () => void {
  const mine = new Watch(
    {
      now: () => Date.now(),
      random: () => Math.random(),
      wait: (ms, then) => {
        const timer = setTimeout(then, ms);
        return () => clearTimeout(timer);
      },
      open: async (signal) => {
        const answer = await ask(`${API}/watch`, { signal });
        if (!answer.body) throw unreachable();
        return answer.body;
      },
    },
    {
      changed: (topics) => {
        for (const key of queriesOf(topics)) {
          void queries.invalidateQueries({ queryKey: [key], predicate: mayChange });
        }
      },
      resumed: () => void queries.invalidateQueries({ predicate: mayChange }),
      state: setLive,
      sessionEnded: end,
    },
  );
  watch = mine;
  const look = () => mine.setVisible(document.visibilityState === 'visible');
  look();
  document.addEventListener('visibilitychange', look);
  mine.start();
  return () => {
    document.removeEventListener('visibilitychange', look);
    mine.stop();
    if (watch === mine) watch = undefined;
  };
}

export function retryNow(): void {
  watch?.retryNow();
}

export function useLive(): Live {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => live,
  );
}
