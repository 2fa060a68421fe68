/**
 * Who is there. Knows the session document, and that a session which ended stays ended until
 * somebody logs in. Refuses to know keys: they go to the server once and are kept nowhere.
 */
import { useSyncExternalStore } from 'react';
import type { Role, Session } from './documents';

export type Who =
  /** Not asked yet. */
  | { state: 'asking' }
  | { state: 'nobody' }
  | { state: 'here'; session: Session }
  /** Was here, and has to log in again; the page behind stays. */
  | { state: 'ended'; session: Session };

let who: Who = { state: 'asking' };
const listeners = new Set<() => void>();

function set(next: Who): void {
  who = next;
  for (const listener of [...listeners]) listener();
}

export function currentWho(): Who {
  return who;
}

export function begin(session: Session): void {
  set({ state: 'here', session });
}

/** The server says that nobody is logged in. */
export function end(): void {
  if (who.state === 'here') set({ state: 'ended', session: who.session });
  else if (who.state === 'asking') set({ state: 'nobody' });
}

/** Somebody logged out: nothing of them stays. */
export function leave(): void {
  set({ state: 'nobody' });
}

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useWho(): Who {
  return useSyncExternalStore(subscribe, currentWho);
}

const ORDER: Role[] = ['viewer', 'planner', 'editor', 'admin'];

export function roleAtLeast(role: Role, needed: Role): boolean {
  return ORDER.indexOf(role) >= ORDER.indexOf(needed);
}

export function useRole(): Role | undefined {
  const now = useWho();
  return now.state === 'here' || now.state === 'ended' ? now.session.role : undefined;
}
