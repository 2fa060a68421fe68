/** Plans and what follows from them. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Plan } from '../src/api/documents';
import { Plane, until } from './plane';
import { loaded, loginAt, scenario } from './scenario';
import { cluster, service } from './services';

const BIG = `service "trainer" {
    process "python3" "-c" "import time; time.sleep(1e9)"
    resources cpu=1 memory="64TiB" gpu=1
}
`;

/** Followed, but applied by hand only. */
const byHand = (...blocks: string[]): Record<string, string> => {
  const files = cluster(...blocks);
  return {
    ...files,
    'cluster.kdl': (files['cluster.kdl'] ?? '').replace('auto=#true', 'auto=#false'),
  };
};

/** What `devnet show -json` says of a plan. */
interface Shown {
  id: string;
  placement: Plan['placement'];
  resource_changes: {
    name: string;
    index: number;
    action_reason: string;
    previous_node: string | null;
    change: { actions: string[] };
  }[];
}

let plane: Plane;
beforeAll(async () => {
  plane = await Plane.start({
    files: byHand(
      service({ name: 'db', port: 21110 }),
      service({ name: 'web', port: 21111, more: '    depends-on "db"\n' }),
      BIG,
    ),
    nodes: ['n1', 'n2'],
  });
});
afterAll(() => plane?.end());

scenario(
  10,
  'a commit with an error: file, line and column, and the old revision runs on',
  async (it) => {
    const { page } = it;
    await loginAt(page, plane.address, plane.key);
    const good = await plane.git('show', 'HEAD:cluster.kdl');
    await plane.commit('Break it', {
      'cluster.kdl': good.replace('replicas 1', 'replicas "many"'),
    });
    const problem = page.locator('[data-problem]');
    try {
      await problem.getByText(/is not applied/).waitFor();
      const text = (await problem.textContent()) ?? '';
      expect(text).toMatch(/cluster\.kdl:\d+:\d+/);
      expect(text).toMatch(/DN-E\d{4}/);
      await it.look('commit-with-error');
    } finally {
      // The other scenarios go on with what was there.
      await plane.commit('Mend it', { 'cluster.kdl': good });
    }
    await problem.getByText(/is not applied/).waitFor({ state: 'detached' });
  },
);

scenario(11, 'the plan page says what the command line says', async (it) => {
  const { page } = it;
  const file = join(plane.dir, 'a.devplan');
  await plane.cli('plan', `-out=${file}`, '-allow-unplaced');
  const shown = JSON.parse(await plane.cli('show', '-json', file)) as Shown;
  await loginAt(page, plane.address, plane.key, `/plans/${encodeURIComponent(shown.id)}`);
  await loaded(page);
  const count = (of: (change: Shown['resource_changes'][0]) => boolean) =>
    shown.resource_changes.filter(of).length;
  const add = count((one) => one.change.actions.includes('create') && !one.previous_node);
  const change = count((one) => one.change.actions.join() === 'update');
  const moved = count((one) => one.previous_node !== null);
  const destroy = count((one) => one.change.actions.includes('delete') && !one.previous_node);
  expect(add).toBe(2);
  const summary = (await page.locator('[data-summary]').first().textContent()) ?? '';
  expect(summary).toBe(`+ ${add} add~ ${change} change> ${moved} move- ${destroy} destroy`);
  const rows = page.getByRole('list', { name: 'Changes' }).locator('[data-row]');
  expect(await rows.count()).toBe(shown.resource_changes.length);
  for (const [index, one] of shown.resource_changes.entries()) {
    const text = (await rows.nth(index).textContent()) ?? '';
    expect(text).toContain(`${one.name}[${one.index}]`);
    expect(text).toContain(one.action_reason);
  }
  for (const level of shown.placement.levels) {
    const row = page.locator(`[data-level="${level.priority}"]`);
    expect(await row.locator('td').allTextContents()).toEqual([
      String(level.priority),
      String(level.placed),
      String(level.wanted),
      expect.stringContaining(level.proven ? 'proven' : 'at most'),
    ]);
  }
  await it.look('plan');
});

scenario(12, 'a service without a place: every node, every constraint, remedies', async (it) => {
  const { page } = it;
  await loginAt(page, plane.address, plane.key, '/plans');
  await page.getByRole('button', { name: 'Plan the newest commit' }).click();
  const part = page.locator('[data-unplaceable="trainer"]');
  await part.waitFor();
  const table = part.getByRole('table');
  for (const node of ['n1', 'n2']) {
    const row = table.getByRole('row').filter({ hasText: node });
    const text = (await row.textContent()) ?? '';
    expect(text).toContain('memory');
    expect(text).toContain('gpu');
  }
  await it.look('unplaceable');
  await part
    .getByRole('link', { name: /Try it/ })
    .first()
    .click();
  await page.getByRole('heading', { name: 'What if' }).waitFor();
  await page.getByRole('list', { name: 'Suppositions' }).locator('li').first().waitFor();
  await loaded(page);
  await page
    .locator('[data-result]')
    .getByText(/everything fits|does not answer that yet/)
    .first()
    .waitFor();
  await it.look('remedy');
});

scenario(13, 'apply; a stale plan is refused and says what moved', async (it) => {
  const { page } = it;
  it.expects(409);
  it.expects(422);
  const now = await plane.git('show', 'HEAD:cluster.kdl');
  await plane.commit('Without the trainer', {
    'cluster.kdl': now.slice(0, now.indexOf('service "trainer"')),
  });
  const revision = await plane.git('rev-parse', 'HEAD');
  await until('the commit being seen', async () => {
    const status = await plane.json<{ source?: { seen?: string } }>('status');
    return status.source?.seen === revision;
  });
  await loginAt(page, plane.address, plane.key, '/plans');
  await page.getByRole('button', { name: 'Plan the newest commit' }).click();
  await page.waitForURL(/\/plans\/blake3/);
  const first = page.url();
  await page.getByRole('button', { name: 'Apply to lab…' }).click();
  await page.getByRole('dialog').waitFor();
  await it.look('apply-dialog');
  await page.getByRole('dialog').getByRole('button', { name: 'Apply', exact: true }).click();
  await page.waitForURL(/\/deployments\//);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.locator('[data-mark="completed"]').getByText('succeeded').first().waitFor();
  await it.look('deployed');
  // The same plan again: what runs has moved since.
  await page.goto(first);
  await loaded(page);
  await page.getByRole('button', { name: 'Apply to lab…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Apply', exact: true }).click();
  const alert = page.getByRole('dialog').getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).toContain('stale');
  await page.getByRole('dialog').getByRole('button', { name: 'Plan again' }).waitFor();
  await it.look('stale');
});
