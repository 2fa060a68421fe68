/** The page and its stream: restarts, many tabs, hidden tabs. */
import { afterAll, beforeAll, expect } from 'vitest';
import { Plane } from './plane';
import { loaded, loginAt, scenario } from './scenario';
import { cluster, service } from './services';

let plane: Plane;
beforeAll(async () => {
  plane = await Plane.start({
    files: cluster(service({ name: 'web', port: 21180 })),
    nodes: ['n1'],
  });
  await plane.settled(await plane.git('rev-parse', 'HEAD'));
});
afterAll(() => plane?.end());

scenario(
  18,
  'the control plane restarts: a banner, then it goes on, without a flood',
  async (it) => {
    const { page } = it;
    it.expects(0);
    it.expects(503);
    await loginAt(page, plane.address, plane.key, '/nodes');
    await loaded(page);
    const asked: number[] = [];
    page.on('request', () => asked.push(Date.now()));
    await plane.stopServer('SIGKILL');
    const away = Date.now();
    await page.locator('[data-banner="offline"]').getByText('Not connected').waitFor();
    expect(await page.getByRole('link', { name: 'n1' }).count()).toBeGreaterThan(0);
    const cordon = page.getByRole('button', { name: 'Search' });
    await cordon.waitFor();
    await it.look('offline');
    const seconds = Math.max(1, (Date.now() - away) / 1000);
    expect(asked.length / seconds).toBeLessThanOrEqual(3);
    await plane.boot();
    // A session may end with the process that kept it; then the page asks for the login and goes on.
    const live = page.locator('[data-live="live"]');
    const again = page.locator('[data-login-again]');
    await live.or(again).first().waitFor();
    if ((await again.count()) > 0) {
      await page.getByLabel('API key or one-time code').fill(plane.key);
      await page.getByRole('button', { name: 'Log in' }).click();
      await live.waitFor();
    }
    await page.locator('[data-row="n1"] [data-mark="online"]').waitFor();
  },
);

scenario(19, 'eight tabs load and stay live', async (it) => {
  const { page, context } = it;
  await loginAt(page, plane.address, plane.key);
  const pages = [page];
  for (let tab = 1; tab < 8; tab += 1) {
    const next = await context.newPage();
    await next.goto(`${plane.address}/nodes`);
    await next.locator('[data-live="live"]').waitFor();
    pages.push(next);
  }
  await plane.cli('node', 'cordon', 'n1');
  for (const one of pages.slice(1))
    await one.locator('[data-row="n1"] [data-mark="cordoned"]').waitFor();
  await plane.cli('node', 'uncordon', 'n1');
  for (const one of pages.slice(1))
    await one.locator('[data-row="n1"] [data-mark="online"]').waitFor();
  await it.look('eight-tabs', pages[7]);
});

scenario(20, 'ten minutes hidden, and live within a second of being seen', async (it) => {
  const { page } = it;
  await page.clock.install();
  await loginAt(page, plane.address, plane.key, '/nodes');
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await page.locator('[data-live="paused"]').waitFor();
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.clock.fastForward('10:00');
  expect(asked).toEqual([]);
  await plane.cli('node', 'cordon', 'n1');
  const seen = Date.now();
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'visible', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await page.locator('[data-live="live"]').waitFor();
  expect(Date.now() - seen).toBeLessThan(1500);
  await page.locator('[data-row="n1"] [data-mark="cordoned"]').waitFor();
  await plane.cli('node', 'uncordon', 'n1');
  await it.look('seen-again');
});
