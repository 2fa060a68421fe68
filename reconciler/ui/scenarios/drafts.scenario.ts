/** Forms, drafts and what has not happened. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect } from 'vitest';
import { Plane, until } from './plane';
import { loginAt, scenario } from './scenario';
import { cluster, service } from './services';

let plane: Plane | undefined;
afterEach(() => plane?.end());

const withComment = (): Record<string, string> => {
  const files = cluster(service({ name: 'web', port: 21070, replicas: 1 }));
  return { ...files, 'cluster.kdl': `// Written by a person, and kept.\n${files['cluster.kdl']}` };
};

scenario(
  7,
  'a service from the form: the block is valid, the patch applies, comments stay',
  async (it) => {
    const { page } = it;
    plane = await Plane.start({ files: withComment(), nodes: ['n1'] });
    await plane.settled(await plane.git('rev-parse', 'HEAD'));
    await loginAt(page, plane.address, plane.key, '/secrets');
    await page.getByLabel('Name').fill('app-db-password');
    await page.getByRole('button', { name: 'Make one' }).click();
    await page.getByRole('button', { name: 'Set', exact: true }).click();
    await page.locator('[data-row="app-db-password"]').waitFor();
    await page.goto(`${plane.address}/catalog/postgres`);
    await page.getByLabel('Name').first().fill('db');
    await page.getByLabel('db-name').fill('app');
    await page.getByLabel('password').selectOption('app-db-password');
    await page.getByLabel('Memory').fill('1GiB');
    const kdl = (await page.locator('[data-code="kdl"]').textContent()) ?? '';
    expect(kdl).toContain('service "db" {');
    // What was typed survives a reload.
    await page.reload();
    await page.locator('[data-code="kdl"]').waitFor();
    expect(await page.locator('[data-code="kdl"]').textContent()).toBe(kdl);
    // The block, added to the file as it is, is valid.
    const whole = `${await plane.git('show', 'HEAD:cluster.kdl')}\n${kdl}`;
    const check = join(plane.dir, 'check');
    execFileSync('mkdir', ['-p', check]);
    writeFileSync(join(check, 'cluster.kdl'), whole);
    writeFileSync(join(check, 'serve.py'), '');
    expect(await plane.cli('validate', '-chdir', check)).toContain('valid');
    const patch = page.locator('[data-code="patch"]');
    const absent = page.getByText('keeps no drafts yet');
    await patch.or(absent).first().waitFor({ state: 'attached' });
    await it.look('form');
    if ((await absent.count()) === 0) {
      const text = (await patch.textContent()) ?? '';
      writeFileSync(join(plane.dir, 'a.patch'), text);
      await plane.git('apply', join(plane.dir, 'a.patch'));
      const file = execFileSync('cat', [join(plane.repo, 'cluster.kdl')], { encoding: 'utf8' });
      expect(file).toContain('// Written by a person, and kept.');
      expect(file).toContain('service "db"');
    }
  },
);

scenario(8, 'a source that is only read: the commit is offered as a patch', async (it) => {
  const { page } = it;
  it.expects(409);
  plane = await Plane.start({ files: withComment() });
  await until('the commit being seen', async () => {
    const status = await plane?.json<{ source?: { seen?: string } }>('status');
    return Boolean(status?.source?.seen);
  });
  await loginAt(page, plane.address, plane.key, '/catalog/redis');
  await page.locator('[data-code="kdl"]').waitFor();
  const commit = page.getByRole('button', { name: 'Commit', exact: true });
  const absent = page.getByText('keeps no drafts yet');
  await commit.or(absent).first().waitFor();
  if ((await absent.count()) === 0) {
    await commit.click();
    await page.getByRole('alert').waitFor();
    expect(await commit.getAttribute('aria-disabled')).toBe('true');
    await page.getByRole('button', { name: 'Download the patch' }).waitFor();
  }
  await it.look('source-read-only');
});

scenario(9, 'a wrong value is named beside its field', async (it) => {
  const { page } = it;
  plane = await Plane.start({ files: withComment() });
  await loginAt(page, plane.address, plane.key, '/catalog/ollama');
  await page.getByLabel('context-length').fill('0');
  const fault = page.locator('[data-fault="context-length"]');
  await fault.waitFor();
  expect(await fault.textContent()).toBe('between 1 and 1048576');
  expect(await page.getByLabel('context-length').getAttribute('aria-invalid')).toBe('true');
  await page.getByLabel('Name').first().fill('Not A Name');
  await page.locator('[data-fault="Name"]').waitFor();
  await it.look('form-faults');
});

scenario(24, 'what if: drain, scale and one loss say what the command line says', async (it) => {
  const { page } = it;
  plane = await Plane.start({
    files: cluster(
      service({
        name: 'web',
        port: 21240,
        replicas: 2,
        more: '    place { spread by="node" max-skew=1 }\n',
      }),
    ),
    nodes: ['n1', 'n2', 'n3'],
  });
  await plane.settled(await plane.git('rev-parse', 'HEAD'));
  await loginAt(page, plane.address, plane.key, '/whatif');
  await page.getByRole('button', { name: 'Drain n1' }).click();
  const brief = page.locator('[data-plan-brief]').first();
  const absent = page.getByText('does not answer that yet');
  await brief.or(absent).first().waitFor();
  await it.look('whatif-drain');
  const command = (await page.locator('[data-result] code').last().textContent()) ?? '';
  expect(command).toBe('devnet whatif -drain n1');
  if ((await absent.count()) > 0) return;
  const lines = (await plane.cli('whatif', '-drain', 'n1', '-json'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { changes?: { add: number; move: number } });
  const counts = lines.find((line) => line.changes)?.changes;
  expect(counts?.move).toBeGreaterThan(0);
  expect(await brief.textContent()).toContain(`+ ${counts?.add} add`);
  expect(await brief.textContent()).toContain(`> ${counts?.move} move`);
  await page.getByLabel('Lose each node in turn').check();
  await page.getByRole('table', { name: 'Losses' }).waitFor();
  await it.look('whatif-survive');
});
