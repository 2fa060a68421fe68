/** How the control plane was started: each value and the flag that sets it. */
import { queryOptions } from '@tanstack/react-query';
import { get } from '../api/client';
import type { Config } from '../api/documents';

export const configQuery = queryOptions({
  queryKey: ['config'],
  queryFn: ({ signal }) => get<Config>('/config', signal),
});
