/** One instance as its node sees it, and the unit that it was made from. */
import { queryOptions } from '@tanstack/react-query';
import { get } from '../api/client';
import type { InstanceSpec, ObservedInstance, TextPart, UnitText } from '../api/documents';
import { instanceSlug } from '../look/text';

export const instanceQuery = (id: string) =>
  queryOptions({
    queryKey: ['instances', 'one', instanceSlug(id)],
    queryFn: ({ signal }) =>
      get<ObservedInstance>(`/instances/${encodeURIComponent(instanceSlug(id))}`, signal),
  });

export const composeQuery = (id: string) =>
  queryOptions({
    queryKey: ['instances', 'compose', instanceSlug(id)],
    queryFn: ({ signal }) =>
      get<UnitText>(`/instances/${encodeURIComponent(instanceSlug(id))}/compose`, signal),
  });

/** A text of a unit with its references written out as references. */
export function told(parts: TextPart[] | undefined): string {
  return (parts ?? [])
    .map((part) => {
      if ('plain' in part && typeof part.plain === 'string') return part.plain;
      return `«${Object.keys(part).join(' ')} ${JSON.stringify(Object.values(part)[0])}»`;
    })
    .join('');
}

/** What runs, in one line. */
export function workloadOf(spec: InstanceSpec): string {
  if ('process' in spec.workload) return spec.workload.process.argv.map(told).join(' ');
  return spec.workload.container.image;
}
