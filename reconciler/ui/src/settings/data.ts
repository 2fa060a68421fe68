/** How the control plane was started: each value and the flag that sets it. */
import { queryOptions } from '@tanstack/react-query';
import { get } from '../api/client';
import type { ConfigRow, Page } from '../api/documents';

export const configQuery = queryOptions({
  queryKey: ['config'],
  queryFn: async ({ signal }) => {
    const answer = await get<ConfigRow[] | Page<ConfigRow>>('/config', signal);
    return Array.isArray(answer) ? answer : answer.items;
  },
});
