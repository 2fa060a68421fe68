/** Requests: what goes along, and what an answer means. The network alone is stood in for. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { all, get, login, send } from './client';
import { ApiError } from './problem';
import { begin, currentWho, leave } from './session';

const SESSION = { name: 'ann', role: 'editor' as const, expires_at: '', csrf: 'c5rf' };

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  const text = body === undefined ? null : JSON.stringify(body);
  return new Response(text, { status, headers });
}

const fetched = vi.fn<typeof fetch>();

beforeEach(() => {
  vi.stubGlobal('fetch', fetched);
  begin(SESSION);
});
afterEach(() => {
  fetched.mockReset();
  vi.unstubAllGlobals();
  leave();
});

async function failure(of: Promise<unknown>): Promise<ApiError> {
  const error = await of.then(
    () => undefined,
    (found: unknown) => found,
  );
  if (error instanceof ApiError) return error;
  throw new Error('it did not fail');
}

describe('client', () => {
  it('sends the header against forged requests with what changes something, and only then', async () => {
    fetched.mockImplementation(async () => answer(200, {}));
    await get('/status');
    await send('POST', '/sync');
    const headers = fetched.mock.calls.map(([, init]) => new Headers(init?.headers));
    expect(headers.map((one) => one.get('x-devnet-csrf'))).toEqual([null, 'c5rf']);
  });

  it('reads every page of a list', async () => {
    fetched
      .mockResolvedValueOnce(answer(200, { items: [1, 2], next: 'a b' }))
      .mockResolvedValueOnce(answer(200, { items: [3] }));
    expect(await all('/nodes')).toEqual([1, 2, 3]);
    expect(fetched.mock.calls.map(([path]) => path)).toEqual([
      '/api/v1/nodes?limit=500',
      '/api/v1/nodes?limit=500&cursor=a%20b',
    ]);
  });

  it('keeps the words of a problem document, its diagnostics and the wait', async () => {
    const problem = {
      type: 'stale-plan',
      title: 'Saved plan is stale: the nodes changed',
      status: 409,
      detail: 'Plan again',
      diagnostics: [{ severity: 'error', code: 'DN-E0001', message: 'no' }],
    };
    fetched.mockResolvedValue(answer(409, problem, { 'retry-after': '7' }));
    const error = await failure(send('POST', '/plans/x/apply', {}));
    expect([error.failure, error.kind, error.message, error.detail, error.retryAfter]).toEqual([
      'refused',
      'stale-plan',
      'Saved plan is stale: the nodes changed',
      'Plan again',
      7,
    ]);
    expect(error.diagnostics[0]?.code).toBe('DN-E0001');
  });

  it('tells a route that is not there from a thing that is not there', async () => {
    fetched.mockResolvedValueOnce(
      answer(404, { type: 'not-found', title: 'there is no such route', status: 404 }),
    );
    expect((await failure(get('/models'))).failure).toBe('not-available');
    fetched.mockResolvedValueOnce(
      answer(404, { type: 'not-found', title: 'there is no such node', status: 404 }),
    );
    expect((await failure(get('/nodes/x'))).failure).toBe('not-found');
    fetched.mockResolvedValueOnce(
      answer(501, { type: 'not-implemented', title: 'agents do not measure yet', status: 501 }),
    );
    expect((await failure(get('/nodes/x/usage'))).failure).toBe('not-available');
  });

  it('is silent after the session has ended', async () => {
    fetched.mockResolvedValue(answer(401, { type: 'unauthenticated', title: 'no', status: 401 }));
    expect((await failure(get('/status'))).failure).toBe('session-ended');
    expect(currentWho()).toEqual({ state: 'ended', session: SESSION });
    expect((await failure(get('/nodes'))).failure).toBe('session-ended');
    expect(fetched).toHaveBeenCalledTimes(1);
  });

  it('says that nothing answered', async () => {
    fetched.mockRejectedValue(new TypeError('fetch failed'));
    const error = await failure(get('/status'));
    expect(error.failure).toBe('unreachable');
    expect(error.message).not.toContain('fetch failed');
  });

  it('logs in with a key and keeps the session only', async () => {
    leave();
    fetched.mockResolvedValue(answer(200, SESSION));
    await login({ key: 'dnk_a_b' });
    expect(currentWho()).toEqual({ state: 'here', session: SESSION });
    expect(JSON.stringify(currentWho())).not.toContain('dnk_');
  });
});
