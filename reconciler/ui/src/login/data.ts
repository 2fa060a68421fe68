/** What somebody who logs in has to know of the control plane, and the login itself. */
import { queryOptions } from '@tanstack/react-query';
import { API, ask } from '../api/client';
import type { About } from '../api/documents';

export const aboutQuery = queryOptions({
  queryKey: ['about'],
  queryFn: async (): Promise<About> => {
    const answer = await ask(`${API}/about`, { open: true });
    return (await answer.json()) as About;
  },
});

/** A one-time code in the address's fragment, which no server sees. */
export function codeOf(hash: string): string | undefined {
  const found = new URLSearchParams(hash.replace(/^#/, '')).get('code');
  return found && found.length > 0 ? found : undefined;
}

/** Where to go after the login: a path of this app, and nothing else. */
export function nextOf(search: string): string {
  const next = new URLSearchParams(search).get('next') ?? '/';
  return /^\/(?![/\\])/.test(next) && !next.startsWith('/login') ? next : '/';
}
