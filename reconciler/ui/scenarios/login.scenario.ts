/** Who is there: logging in and out, and what others may not. */
import { afterAll, beforeAll, expect } from 'vitest';
import { Plane, until } from './plane';
import { loaded, loginAt, scenario } from './scenario';
import { cluster, service } from './services';

let plane: Plane;
beforeAll(async () => {
  plane = await Plane.start({
    files: cluster(service({ name: 'web', port: 21080 })),
    nodes: ['n1'],
  });
  await plane.settled(await plane.git('rev-parse', 'HEAD'));
});
afterAll(() => plane?.end());

scenario(1, 'login by key and by code, and a wait after many wrong ones', async (it) => {
  const { page } = it;
  it.expects(401);
  it.expects(429);
  await page.goto(`${plane.address}/nodes?q=n`);
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  expect(new URL(page.url()).pathname).toBe('/login');
  await it.look('login');
  // By a code, as the command line prints it: the address carries it where no server sees it.
  const said = await plane.cli('ui');
  const address = /https:\/\/\S+/.exec(said)?.[0] ?? '';
  const code = /code=([^&\s]+)/.exec(address)?.[1] ?? '';
  expect(code).not.toBe('');
  await page.goto(`${plane.address}/login?next=/nodes#code=${code}`);
  await page.getByRole('heading', { name: 'Nodes', level: 1 }).waitFor();
  expect(page.url()).not.toContain(code);
  // A code is good once.
  const other = await it.context.browser()?.newContext({ ignoreHTTPSErrors: true });
  const second = await other?.newPage();
  await second?.goto(`${plane.address}/login#code=${code}`);
  await second?.getByRole('alert').waitFor();
  // By a key.
  await second?.getByLabel('API key or one-time code').fill(plane.key);
  await second?.getByRole('button', { name: 'Log in' }).click();
  await second?.getByRole('heading', { name: 'Overview' }).waitFor();
  await other?.close();
  // Twenty wrong ones, and the page says how long to wait.
  const third = await it.context.browser()?.newContext({ ignoreHTTPSErrors: true });
  const page3 = await third?.newPage();
  if (!page3) throw new Error('no page');
  await page3.goto(`${plane.address}/login`);
  await until('the wait being shown', async () => {
    await page3.getByLabel('API key or one-time code').fill('dnk_0000_wrong');
    const [answer] = await Promise.all([
      page3.waitForResponse(
        (one) => one.url().endsWith('/session') && one.request().method() === 'POST',
      ),
      page3.getByRole('button', { name: 'Log in' }).click(),
    ]);
    return answer.status() === 429;
  });
  await page3.locator('[data-wait]').waitFor();
  expect(await page3.locator('[data-wait]').textContent()).toMatch(/try again in \d+:\d\d/);
  await third?.close();
});

scenario(2, 'logout and revocation end the page within five seconds', async (it) => {
  const { page } = it;
  it.expects(401);
  // Who comes back is a viewer, who may not read logs.
  it.expects(403);
  const made = await plane.cli('apikey', 'create', 'leaver', '-role', 'planner');
  const key = /dnk_\S+/.exec(made)?.[0] ?? '';
  await loginAt(page, plane.address, key, '/services/web?tab=logs');
  await page.getByText('listening').first().waitFor();
  const keys = await plane.json<{ id: string; name: string }[]>('apikey', 'list');
  const id = keys.find((one) => one.name === 'leaver')?.id ?? '';
  const began = Date.now();
  await plane.cli('apikey', 'rm', id);
  await page.locator('[data-login-again]').waitFor();
  expect(Date.now() - began).toBeLessThan(6000);
  // The page behind keeps what it showed.
  expect(await page.locator('main').textContent()).toContain('listening');
  await it.look('session-ended');
  // It is silent from now on.
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  const again =
    /dnk_\S+/.exec(await plane.cli('apikey', 'create', 'back', '-role', 'viewer'))?.[0] ?? '';
  expect(asked).toEqual([]);
  await page.getByLabel('API key or one-time code').fill(again);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('[data-login-again]').waitFor({ state: 'detached' });
  await page.locator('[data-live="live"]').waitFor();
  // Logging out leads to the login, and back leads nowhere else.
  await page.locator('[data-account] summary').click();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL(/\/login/);
  await page.goto(`${plane.address}/nodes`);
  await page.waitForURL(/\/login/);
});

scenario(3, 'requests of other sites are refused', async (it) => {
  const { page, context } = it;
  await loginAt(page, plane.address, plane.key);
  const cookies = await context.cookies(plane.address);
  const session = cookies.find((one) => one.name.startsWith('__Host-'));
  expect([session?.httpOnly, session?.secure, session?.sameSite]).toEqual([true, true, 'Strict']);
  const cookie = `${session?.name}=${session?.value}`;
  const csrf = await page.evaluate(
    async () => (await (await fetch('/api/v1/session')).json()) as { csrf: string },
  );
  const status = async (headers: Record<string, string>) =>
    (
      await context.request.post(`${plane.address}/api/v1/sync`, {
        headers: { cookie, ...headers },
      })
    ).status();
  const good = {
    origin: plane.address,
    'x-devnet-csrf': csrf.csrf,
    'sec-fetch-site': 'same-origin',
  };
  expect(await status(good)).toBe(202);
  expect(
    await status({ ...good, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }),
  ).toBe(403);
  expect(await status({ origin: plane.address, 'sec-fetch-site': 'same-origin' })).toBe(403);
  expect(await status({ ...good, host: 'evil.example' })).toBe(421);
  await it.look('overview');
});

scenario(4, 'a viewer sees what the role may not do, and which role may', async (it) => {
  const { page } = it;
  it.expects(403);
  await loginAt(page, plane.address, await plane.keyOf('viewer'), '/nodes/n1');
  await loaded(page);
  const cordon = page.getByRole('button', { name: 'Cordon', exact: true });
  expect(await cordon.getAttribute('aria-disabled')).toBe('true');
  expect(await cordon.getAttribute('title')).toBe('needs the role admin');
  await cordon.click({ force: true });
  await page.getByText('Not now: needs the role admin.').waitFor();
  await it.look('viewer-node');
  await page.goto(`${plane.address}/instances/web-0`);
  const alert = page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).toContain('planner');
  await it.look('viewer-log');
});
