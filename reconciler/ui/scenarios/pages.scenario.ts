/** Every page: small screens, greyscale, forced colours, the keyboard alone. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { Plane, until } from './plane';
import { goTo, loaded, loginAt, scenario } from './scenario';
import { cluster, service } from './services';

let plane: Plane;
let plan = '';
let deployment = '';
beforeAll(async () => {
  plane = await Plane.start({
    files: cluster(
      service({ name: 'db', port: 21280 }),
      service({ name: 'web', port: 21281, more: '    depends-on "db"\n' }),
    ),
    nodes: ['n1', 'n2', 'n3'],
  });
  await plane.settled(await plane.git('rev-parse', 'HEAD'));
  const status = await plane.json<{ deployment?: { id: string; plan: string } }>('status');
  plan = status.deployment?.plan ?? '';
  deployment = status.deployment?.id ?? '';
});
afterAll(() => plane?.end());

const every = () => [
  '/',
  '/nodes',
  '/nodes?view=cards',
  '/nodes/n1',
  '/nodes/n1?tab=facts',
  '/nodes/add',
  '/services',
  '/services/web',
  '/services/web?tab=explain',
  '/services/web?tab=unit',
  '/instances/web-0',
  '/map',
  '/map?tab=dependencies',
  '/map?tab=table',
  '/catalog',
  '/catalog/postgres',
  '/plans',
  `/plans/${plan}`,
  '/deployments',
  `/deployments/${deployment}`,
  '/whatif',
  '/models',
  '/events',
  '/audit',
  '/secrets',
  '/access',
  '/access?tab=sessions',
  '/access?tab=roles',
  '/settings',
];

async function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}

scenario(28, 'the keyboard alone', async (it) => {
  const { page } = it;
  await loginAt(page, plane.address, plane.key);
  await page.keyboard.press('g');
  await page.keyboard.press('n');
  await page.getByRole('heading', { name: 'Nodes', level: 1 }).waitFor();
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('H1');
  await page.locator('[data-row="n2"]').waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('n2');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'n2' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('heading', { name: 'Nodes', level: 1 }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('n3');
  await page.locator('[data-row="n1"]').waitFor({ state: 'detached' });
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: /Pages, nodes/ }).waitFor();
  await page.keyboard.type('web[0]');
  await page.getByRole('option', { name: /web\[0\]/ }).waitFor();
  await it.look('palette');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'web[0]' }).waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).waitFor();
  await it.look('keys');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  // A plan, to its confirmation and back.
  await goTo(page, `/plans/${plan}`);
  await loaded(page);
  await page.getByRole('button', { name: 'Apply to lab…' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  expect(
    await page.evaluate(() => document.activeElement?.closest('[role="dialog"]') !== null),
  ).toBe(true);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await until('the focus being back on the button', () =>
    page.evaluate(() => document.activeElement?.textContent?.startsWith('Apply') ?? false),
  );
});

for (const [name, width, number] of [
  ['phone', 360, 29],
  ['zoom', 320, 29],
] as const) {
  scenario(
    number,
    `every page at ${width} pixels (${name})`,
    async (it) => {
      const { page } = it;
      await loginAt(page, plane.address, plane.key);
      for (const path of every()) {
        await goTo(page, path);
        await loaded(page);
        expect(await overflow(page), `${path} is wider than ${width}`).toBeLessThanOrEqual(0);
        await it.look(`${name}-${path.replace(/\W+/g, '-').slice(0, 40)}`);
      }
    },
    {
      viewport: { width, height: name === 'phone' ? 740 : 256 },
      hasTouch: true,
      isMobile: name === 'phone',
    },
  );
}

scenario(30, 'greyscale and forced colours', async (it) => {
  const { page } = it;
  await loginAt(page, plane.address, plane.key);
  await plane.cli('node', 'cordon', 'n3');
  await plane.stopAgent('n2');
  await page.locator('[data-mark="offline"]').first().waitFor();
  const session = await it.context.newCDPSession(page);
  await session.send('Emulation.setEmulatedVisionDeficiency', { type: 'achromatopsia' });
  for (const path of ['/', '/nodes', '/services', '/map']) {
    await goTo(page, path);
    await loaded(page);
    // Every state is a word and a shape, so that nothing hangs on a colour.
    const bare = await page
      .locator('main [data-mark]')
      .evaluateAll(
        (marks) =>
          marks.filter((mark) => !mark.textContent?.trim() || !mark.querySelector('svg')).length,
      );
    expect(bare).toBe(0);
    await it.look(`grey-${path.replace(/\W+/g, '-')}`);
  }
  await session.send('Emulation.setEmulatedVisionDeficiency', { type: 'none' });
  await page.emulateMedia({ forcedColors: 'active' });
  for (const path of ['/', '/nodes', '/services', `/plans/${plan}`]) {
    await goTo(page, path);
    await loaded(page);
    await it.look(`forced-${path.replace(/\W+/g, '-').slice(0, 20)}`);
  }
  await plane.cli('node', 'uncordon', 'n3');
});
