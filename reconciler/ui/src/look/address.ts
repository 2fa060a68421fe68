/**
 * What a page keeps in its address: filter, order, tab. Knows that each is a text. Refuses to hold what
 * nobody should share.
 */
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';

export type Search = Record<string, string | undefined>;

/** Every value is a text, whatever was typed into the address. */
export function textsOf(search: Record<string, unknown>): Search {
  const found: Search = {};
  for (const [name, value] of Object.entries(search)) {
    if (typeof value === 'string') found[name] = value;
    else if (typeof value === 'number' || typeof value === 'boolean') found[name] = String(value);
  }
  return found;
}

export function useAddress(): Search {
  return useSearch({ strict: false }) as Search;
}

export function useAddressSetter(): (change: Search) => void {
  const navigate = useNavigate();
  return (change) =>
    void navigate({
      to: '.',
      search: (before: Search) => ({ ...before, ...change }),
      replace: true,
    });
}

/** A part of the path, like the name of a node. */
export function usePathPart(name: string): string {
  const parts = useParams({ strict: false }) as Record<string, string | undefined>;
  return parts[name] ?? '';
}
