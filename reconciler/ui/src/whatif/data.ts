/** What has not happened: suppositions, as the API and the command line spell them. */
import { queryOptions } from '@tanstack/react-query';
import { send } from '../api/client';
import type { Edit, Plan, Suggestion } from '../api/documents';

export type Supposition =
  | { drain: string }
  | { without: string }
  | {
      with_node: {
        cpu: number;
        memory: string;
        disk?: string;
        gpus?: string;
        zone?: string;
        tags?: string[];
      };
    }
  | { scale: { service: string; replicas: number } }
  | { edit: FileEdit };

/** A change of the cluster file, as drafts make it. */
export type FileEdit =
  | { drop: string }
  | { scale: { service: string; replicas: number } }
  | { remove: { service: string } }
  | { node: { name: string; cordon?: boolean; drain?: boolean } };

export interface Loss {
  node: string;
  down: string[] | number;
  data: string[] | number;
  elsewhere: string[] | number;
}

export interface WhatIf {
  plan: Plan;
  losses?: Loss[];
}

export const whatIfQuery = (suppose: Supposition[], survive: boolean) =>
  queryOptions({
    queryKey: ['whatif', JSON.stringify(suppose), survive],
    enabled: suppose.length > 0 || survive,
    queryFn: ({ signal }) =>
      send<WhatIf>('POST', '/whatif', { suppose, survive, solve_limit_ms: 5000 }, signal),
    gcTime: 60_000,
  });

function isSupposition(value: unknown): value is Supposition {
  if (typeof value !== 'object' || value === null) return false;
  return ['drain', 'without', 'with_node', 'scale', 'edit'].some((word) => word in value);
}

/** Out of the address, where anything may stand. */
export function readSuppositions(text: string | undefined): Supposition[] {
  try {
    const read: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(read) ? read.filter(isSupposition) : [];
  } catch {
    return [];
  }
}

/** One supposition, as a person says it. */
export function told(one: Supposition): string {
  if ('drain' in one) return `${one.drain} is drained`;
  if ('without' in one) return `${one.without} is lost`;
  if ('scale' in one) return `${one.scale.service} has ${one.scale.replicas} replicas`;
  if ('with_node' in one) {
    const { cpu, memory, gpus } = one.with_node;
    return `a new node with ${cpu} cpu, ${memory}${gpus ? ` and GPUs (${gpus})` : ''}`;
  }
  return toldEdit(one.edit);
}

function toldEdit(edit: FileEdit): string {
  if ('drop' in edit) return `the line at ${edit.drop} is gone`;
  if ('scale' in edit) return `${edit.scale.service} has ${edit.scale.replicas} replicas`;
  if ('remove' in edit) return `${edit.remove.service} is not declared`;
  if (edit.node.cordon === false) return `${edit.node.name} takes instances again`;
  return `${edit.node.name} is ${edit.node.drain ? 'drained' : 'cordoned'}`;
}

function supposed(edit: Edit): Supposition[] | undefined {
  const text = (name: string) => (typeof edit[name] === 'string' ? edit[name] : undefined);
  switch (edit.kind) {
    case 'drop': {
      const at = text('at');
      return at ? [{ edit: { drop: at } }] : undefined;
    }
    case 'uncordon': {
      const name = text('node');
      return name ? [{ edit: { node: { name, cordon: false } } }] : undefined;
    }
    case 'add-node': {
      const gpus = Array.isArray(edit.gpus) ? edit.gpus.map(String) : [];
      const disk = text('disk');
      const zone = text('zone');
      const tags = Array.isArray(edit.tags) ? edit.tags.map(String) : [];
      return [
        {
          with_node: {
            cpu: Math.max(1, Math.ceil(Number(edit.cpu ?? 1))),
            memory: text('memory') ?? '1GiB',
            ...(disk && disk !== '0B' ? { disk } : {}),
            ...(gpus.length > 0 ? { gpus: `${gpus.length}x${gpus[0]}` } : {}),
            ...(zone ? { zone } : {}),
            ...(tags.length > 0 ? { tags } : {}),
          },
        },
      ];
    }
    default:
      return undefined;
  }
}

/** A remedy as suppositions; nothing where a part of it cannot be supposed, like more memory. */
export function asSuppositions(remedy: Suggestion): Supposition[] | undefined {
  const parts = remedy.edits.map(supposed);
  if (parts.length === 0 || parts.some((part) => part === undefined)) return undefined;
  return parts.flatMap((part) => part ?? []);
}

/** The same question for the command line, where it can ask it. */
export function commandOf(suppose: Supposition[], survive: boolean): string {
  const flags = suppose.flatMap((one) => {
    if ('drain' in one) return [`-drain ${one.drain}`];
    if ('without' in one) return [`-without ${one.without}`];
    if ('scale' in one) return [`-scale ${one.scale.service}=${one.scale.replicas}`];
    if ('with_node' in one) {
      const { cpu, memory, gpus } = one.with_node;
      const gpu = gpus ? ` gpu=${gpus}` : '';
      return [`-with-node "cpu=${cpu} memory=${memory}${gpu}"`];
    }
    return [];
  });
  return ['devnet whatif', ...flags, ...(survive ? ['-survive 1'] : [])].join(' ');
}
