/** Nodes that join, go away and come back. */
import jsqr from 'jsqr';
import type { Page } from 'playwright-core';
import { afterEach, expect } from 'vitest';
import { Plane, until } from './plane';
import { loginAt, scenario } from './scenario';
import { cluster, service } from './services';

let plane: Plane | undefined;
afterEach(() => plane?.end());

/** What a camera would read of the code on the page. */
async function readCode(page: Page): Promise<string> {
  const drawn = await page.locator('[data-qr]').evaluate((svg) => ({
    size: Number(svg.getAttribute('viewBox')?.split(' ')[2]),
    path: svg.querySelector('path')?.getAttribute('d') ?? '',
  }));
  const scale = 4;
  const width = drawn.size * scale;
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [, x, y] of drawn.path.matchAll(/M(\d+) (\d+)h/g)) {
    for (let dx = 0; dx < scale; dx += 1) {
      for (let dy = 0; dy < scale; dy += 1) {
        const at = ((Number(y) * scale + dy) * width + Number(x) * scale + dx) * 4;
        pixels.fill(0, at, at + 3);
      }
    }
  }
  const decode = (jsqr as unknown as { default?: typeof jsqr }).default ?? jsqr;
  return decode(pixels, width, width)?.data ?? '';
}

/** The token in the line that a person pastes: it goes through standard input. */
function tokenOf(line: string): string {
  const token = /^echo (\S+) \| devnet-agent join /.exec(line)?.[1];
  if (token === undefined) throw new Error(`there is no token in: ${line}`);
  return token;
}

scenario(5, 'an empty cluster, the wizard, and a node that appears unprompted', async (it) => {
  const { page } = it;
  plane = await Plane.start();
  await loginAt(page, plane.address, plane.key);
  await page.getByText('Three steps to a first service').waitFor();
  await it.look('empty');
  await page.getByRole('link', { name: 'Add a node' }).click();
  await page.getByLabel('Name of the node').fill('nuc1');
  await page.getByRole('button', { name: 'Make a token' }).click();
  const line = (await page.locator('code').first().textContent()) ?? '';
  expect(line).toContain('devnet-agent');
  const token = tokenOf(line);
  plane.run('nuc1', ['--name', 'nuc1'], token);
  await page.locator('[data-seen] [data-mark="completed"]').nth(2).waitFor();
  await it.look('node-joined');
  await page
    .getByRole('navigation', { name: 'Pages', exact: true })
    .getByRole('link', { name: 'Nodes' })
    .click();
  await page.getByRole('table', { name: 'Nodes' }).getByRole('link', { name: 'nuc1' }).waitFor();
});

scenario(6, 'the QR code holds the line; a used token says so', async (it) => {
  const { page } = it;
  plane = await Plane.start();
  await loginAt(page, plane.address, plane.key, '/nodes/add');
  await page.getByRole('button', { name: 'Make a token' }).click();
  const line = (await page.locator('code').first().textContent()) ?? '';
  expect(await page.locator('[data-qr]').count()).toBe(0);
  await page.getByRole('button', { name: 'Show it as a QR code' }).click();
  expect(await readCode(page)).toBe(line);
  expect(await page.locator('[data-countdown]').textContent()).toMatch(
    /^(59|1:00):\d\d|\d\d:\d\d$/,
  );
  await it.look('qr');
  const token = tokenOf(line);
  plane.run('first', ['--name', 'first'], token);
  await page.locator('[data-seen] [data-mark="completed"]').nth(2).waitFor();
  plane.run('second', ['--name', 'second'], token);
  await until('the second being refused', async () =>
    /token|refused/.test(plane?.agents.get('second')?.output.join('') ?? ''),
  );
  // Nothing of the refused one is on the page of nodes.
  await page.goto(`${plane.address}/nodes`);
  await page.getByRole('link', { name: 'first' }).waitFor();
  expect(await page.getByRole('link', { name: 'second' }).count()).toBe(0);
});

scenario(17, 'an agent that is killed: offline, unknown, nothing pruned, and back', async (it) => {
  const { page } = it;
  plane = await Plane.start({
    files: cluster(
      service({
        name: 'web',
        port: 21170,
        replicas: 2,
        more: '    place { spread by="node" max-skew=1 }\n',
      }),
    ),
    nodes: ['n1', 'n2'],
  });
  await plane.settled(await plane.git('rev-parse', 'HEAD'));
  await loginAt(page, plane.address, plane.key);
  await page.getByText('Nothing: everything declared is there and healthy.').waitFor();
  await plane.stopAgent('n2');
  const looks = page.getByRole('list', { name: 'Needs a look' });
  await looks.locator('[data-mark="offline"]').waitFor();
  await looks.locator('[data-mark="unknown"]').waitFor();
  expect(await looks.textContent()).toContain('n2 is offline');
  await it.look('node-offline');
  await page.goto(`${plane.address}/services`);
  const row = page.locator('[data-row="web"]');
  await row.waitFor();
  // Two are still counted: one that runs, one that nobody can ask.
  expect(await row.getByRole('img', { name: /web\[\d\] on n2: unknown/ }).count()).toBe(1);
  await plane.startAgent('n2');
  await row.locator('[data-mark="healthy"]').waitFor();
  expect(await row.textContent()).toContain('2/2');
});
