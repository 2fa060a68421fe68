/**
 * Requests to the control plane that served this page. Knows the session's cookie (the browser sends
 * it), the header against forged requests, problem documents and pages of lists. Refuses to send
 * anything once the session has ended, so that an expired tab is silent.
 */
import type { Page, Session } from './documents';
import { ApiError, errorOf, sessionEnded, unreachable } from './problem';
import { begin, currentWho, end, leave } from './session';

export const API = '/api/v1';

interface Options {
  method?: string;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  body?: BodyInit;
  signal?: AbortSignal;
  /** Also without a session: the login itself. */
  open?: boolean;
  headers?: Record<string, string>;
}

/** The answer, once it is known to be a good one. */
export async function ask(path: string, options: Options = {}): Promise<Response> {
  const who = currentWho();
  if (!options.open && (who.state === 'ended' || who.state === 'nobody')) throw sessionEnded();
  const method = options.method ?? 'GET';
  const headers = new Headers(options.headers);
  let body = options.body;
  if (options.json !== undefined) {
    headers.set('content-type', 'application/json');
    body = JSON.stringify(options.json);
  }
  if (method !== 'GET' && who.state === 'here') headers.set('x-devnet-csrf', who.session.csrf);
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body ?? null,
      signal: options.signal ?? null,
      credentials: 'same-origin',
      cache: method === 'GET' ? 'no-cache' : 'no-store',
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw unreachable();
  }
  if (answer.ok) return answer;
  const failure = await errorOf(answer);
  if (failure.failure === 'session-ended' && !options.open) end();
  throw failure;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await ask(API + path, signal ? { signal } : {});
  return (await answer.json()) as T;
}

/** Sends and reads what comes back; nothing comes back of a 204 or an empty 202. */
export async function send<T = void>(
  method: string,
  path: string,
  json?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const options: Options = { method };
  if (json !== undefined) options.json = json;
  if (signal) options.signal = signal;
  const answer = await ask(API + path, options);
  const content = await answer.text();
  return (content === '' ? undefined : JSON.parse(content)) as T;
}

/** Every page of a list. */
export async function all<T>(path: string, signal?: AbortSignal): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const join = path.includes('?') ? '&' : '?';
    const from: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
    const page: Page<T> = await get<Page<T>>(`${path}${join}limit=500${from}`, signal);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return items;
}

/** Asks who is logged in. */
export async function resume(): Promise<void> {
  try {
    const answer = await ask(`${API}/session`, { open: true });
    begin((await answer.json()) as Session);
  } catch (error) {
    if (error instanceof ApiError && error.failure === 'session-ended') end();
    else throw error;
  }
}

/** Logs in with an API key or a one-time code. */
export async function login(proof: { key: string } | { code: string }): Promise<void> {
  const answer = await ask(`${API}/session`, { method: 'POST', json: proof, open: true });
  begin((await answer.json()) as Session);
}

export async function logout(): Promise<void> {
  await send('DELETE', '/session');
  leave();
}
