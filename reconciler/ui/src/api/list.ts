/**
 * Lists that are read again as what changed since. Knows how an answer joins what is known already.
 * Refuses to guess: where the control plane no longer knows what changed, it says `whole`, and that is
 * all there is.
 */
import { type QueryKey, queryOptions } from '@tanstack/react-query';
import { get } from './client';
import type { Page } from './documents';

export interface Answered<T> extends Page<T> {
  serial?: number;
  gone?: string[];
  whole?: boolean;
}

export interface Known<T> {
  items: T[];
  /** The state that the items show; nothing where the control plane does not count. */
  serial: number | undefined;
}

/** What is known once an answer to `?since=` is taken in. */
export function joined<T>(
  known: Known<T>,
  answer: Answered<T>,
  keyOf: (item: T) => string,
): Known<T> {
  if (answer.whole) return { items: answer.items, serial: answer.serial };
  const gone = new Set(answer.gone);
  if (answer.items.length === 0 && gone.size === 0) return { ...known, serial: answer.serial };
  const byKey = new Map(known.items.map((item) => [keyOf(item), item]));
  for (const key of gone) byKey.delete(key);
  for (const item of answer.items) byKey.set(keyOf(item), item);
  const items = [...byKey].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  return { items: items.map(([, item]) => item), serial: answer.serial };
}

async function readAll<T>(path: string, signal: AbortSignal): Promise<Known<T>> {
  const items: T[] = [];
  let serial: number | undefined;
  let cursor: string | undefined;
  do {
    const from: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
    const page: Answered<T> = await get<Answered<T>>(`${path}?limit=500${from}`, signal);
    // Of the first page: what changes while the others are read is read again then.
    serial ??= page.serial;
    items.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return { items, serial };
}

/** A list as a query: whole at first, then only what changed. */
export function listQuery<T>(queryKey: QueryKey, path: string, keyOf: (item: T) => string) {
  return queryOptions({
    queryKey,
    queryFn: async ({ signal, client }): Promise<Known<T>> => {
      const known = client.getQueryData<Known<T>>(queryKey);
      if (known?.serial === undefined) return readAll<T>(path, signal);
      const answer = await get<Answered<T>>(`${path}?since=${known.serial}`, signal);
      return joined(known, answer, keyOf);
    },
    select: (known: Known<T>) => known.items,
  });
}
