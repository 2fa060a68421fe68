/** What has not happened: suppositions, as the API and the command line spell them. */
import { queryOptions } from '@tanstack/react-query';
import { send } from '../api/client';
import type { Edit, Plan } from '../api/documents';

export type Supposition =
  | { drain: string }
  | { without: string }
  | { with_node: { cpu: number; memory: string; gpus?: string } }
  | { scale: { service: string; replicas: number } }
  | { edit: Edit };

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

function toldEdit(edit: Edit): string {
  const text = (name: string) => String(edit[name] ?? '');
  switch (edit.kind) {
    case 'move':
      return `${text('instance')} moves from ${text('from')} to ${text('to')}`;
    case 'drop':
      return `${text('service')} without its ${text('constraint')}${edit.at ? ` (${text('at')})` : ''}`;
    case 'free':
      return `${text('node')} has ${text('amount')} of ${text('resource')} freed`;
    case 'raise':
      return `${text('node')} has ${text('amount')} more of ${text('resource')}`;
    case 'uncordon':
      return `${text('node')} takes instances again`;
    case 'add-node':
      return `a new node with ${text('cpu')} cpu and ${text('memory')}`;
    default:
      return edit.kind;
  }
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
