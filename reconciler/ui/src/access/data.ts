/** Keys, sessions, and which role may do what. */
import { queryOptions } from '@tanstack/react-query';
import { all, get, send } from '../api/client';
import type { ApiKeyRow, NewApiKey, Role, SessionRow } from '../api/documents';

export const keysQuery = queryOptions({
  queryKey: ['apikeys'],
  queryFn: ({ signal }) => all<ApiKeyRow>('/apikeys', signal),
});

export const sessionsQuery = queryOptions({
  queryKey: ['sessions'],
  queryFn: ({ signal }) => all<SessionRow>('/sessions', signal),
});

interface OpenApi {
  paths: Record<string, Record<string, { 'x-role'?: string; summary?: string }>>;
}

export interface Right {
  method: string;
  path: string;
  role: Role;
  summary: string;
}

const ROLES: Role[] = ['viewer', 'planner', 'editor', 'admin'];

export const rightsQuery = queryOptions({
  queryKey: ['rights'],
  queryFn: async ({ signal }): Promise<Right[]> => {
    const api = await get<OpenApi>('/openapi.json', signal);
    return Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, route]) => {
        const role = ROLES.find((one) => one === route['x-role']);
        return role
          ? [{ method: method.toUpperCase(), path, role, summary: route.summary ?? '' }]
          : [];
      }),
    );
  },
});

export function makeKey(name: string, role: Role): Promise<NewApiKey> {
  return send('POST', '/apikeys', { name, role });
}

export function revokeKey(id: string): Promise<void> {
  return send('DELETE', `/apikeys/${encodeURIComponent(id)}`);
}

export function endSession(id: string): Promise<void> {
  return send('DELETE', `/sessions/${encodeURIComponent(id)}`);
}
