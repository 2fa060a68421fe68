/** Secrets: names and versions. Values go to the server and never come back. */
import { queryOptions } from '@tanstack/react-query';
import { API, all, ask, send } from '../api/client';
import type { SecretRow } from '../api/documents';

export const secretsQuery = queryOptions({
  queryKey: ['secrets'],
  queryFn: ({ signal }) => all<SecretRow>('/secrets', signal),
});

export async function setSecret(name: string, value: Blob | string): Promise<void> {
  await ask(`${API}/secrets/${encodeURIComponent(name)}`, { method: 'PUT', body: value });
}

export function deleteSecret(name: string): Promise<void> {
  return send('DELETE', `/secrets/${encodeURIComponent(name)}`);
}

const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';

/** A value that nobody knows yet: `random` fills an array with bytes. */
export function generate(length: number, random: (into: Uint8Array<ArrayBuffer>) => void): string {
  let made = '';
  const pool = new Uint8Array(64);
  while (made.length < length) {
    random(pool);
    for (const byte of pool) {
      // Bytes above the last whole multiple would make the first letters more likely.
      const fits = byte < LETTERS.length * Math.floor(256 / LETTERS.length);
      if (fits && made.length < length) made += LETTERS[byte % LETTERS.length];
    }
  }
  return made;
}
