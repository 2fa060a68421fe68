/**
 * Drafts: edits of the cluster file that are not committed yet. Knows their routes. The control plane
 * edits, formats, diagnoses and plans; the page only says what it would change.
 */
import { queryOptions } from '@tanstack/react-query';
import { send } from '../api/client';
import type { Diagnostic, Plan } from '../api/documents';

export type DraftEdit = Record<string, unknown>;

export interface Draft {
  id: string;
  base: string;
  kdl?: string;
  patch: string;
  files?: Record<string, string> | string[];
  diagnostics: Diagnostic[];
}

export const draftQuery = (base: string | undefined, edits: DraftEdit[] | undefined) =>
  queryOptions({
    queryKey: ['drafts', base ?? '', JSON.stringify(edits ?? null)],
    enabled: base !== undefined && edits !== undefined,
    queryFn: ({ signal }) => send<Draft>('POST', '/drafts', { base, edits }, signal),
    gcTime: 60_000,
  });

export const draftPlanQuery = (id: string | undefined) =>
  queryOptions({
    queryKey: ['drafts', 'plan', id ?? ''],
    enabled: id !== undefined,
    queryFn: ({ signal }) =>
      send<{ plan: Plan }>(
        'POST',
        '/whatif',
        { draft: id, suppose: [], solve_limit_ms: 5000 },
        signal,
      ),
    gcTime: 60_000,
  });

export function commitDraft(
  id: string,
  message: string,
  branch: string,
): Promise<{ commit: string; branch: string }> {
  return send('POST', `/drafts/${encodeURIComponent(id)}/commit`, { message, branch });
}
