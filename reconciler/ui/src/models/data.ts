/** Language models: what is declared and loaded, and what would fit. */
import { queryOptions } from '@tanstack/react-query';
import { get, send } from '../api/client';
import type { Page } from '../api/documents';

export interface Needs {
  weights: number;
  context: number;
  overhead: number;
  certain: boolean;
}

export interface ModelRow {
  service: string;
  instance: string;
  node: string;
  name: string;
  state: string;
  done?: number | null;
  total?: number | null;
  needs?: Needs | null;
  gpus?: string[];
  measured_mb?: number | null;
}

export const modelsQuery = queryOptions({
  queryKey: ['models'],
  queryFn: async ({ signal }) => {
    const answer = await get<ModelRow[] | Page<ModelRow>>('/models', signal);
    return Array.isArray(answer) ? answer : answer.items;
  },
});

export interface Fit {
  needs: Needs;
  nodes: { node: string; fits?: boolean; free_mb?: number; text?: string }[];
}

export function wouldFit(name: string, context: number, parallel: number): Promise<Fit> {
  return send('POST', '/models/fit', { name, context, parallel });
}

export function changeModel(row: ModelRow, act: 'load' | 'unload'): Promise<void> {
  const path = `/instances/${encodeURIComponent(row.instance)}/models/${encodeURIComponent(row.name)}/${act}`;
  return send('POST', path);
}
