/** A secret goes in and never comes out. */
import { afterAll, beforeAll, expect } from 'vitest';
import { Plane } from './plane';
import { loaded, loginAt, scenario } from './scenario';

const CANARY = 'cAnArY-7f3b91d2';

let plane: Plane;
beforeAll(async () => {
  plane = await Plane.start();
});
afterAll(() => plane?.end());

scenario(25, 'a secret that is set is in no answer, page, storage or log', async (it) => {
  const { page } = it;
  const answers: Promise<void>[] = [];
  const leaks: string[] = [];
  page.on('response', (answer) => {
    if (!answer.url().includes('/api/') || answer.url().includes('/watch')) return;
    answers.push(
      answer.text().then(
        (text) => {
          if (text.includes(CANARY)) leaks.push(answer.url());
        },
        () => undefined,
      ),
    );
  });
  await loginAt(page, plane.address, plane.key, '/secrets');
  await page.getByText('No secret yet').waitFor();
  await page.getByLabel('Name').fill('app-password');
  await page.locator('[data-secret-value]').fill(CANARY);
  await page.getByRole('button', { name: 'Set', exact: true }).click();
  await page.locator('[data-row="app-password"]').waitFor();
  expect(await page.locator('[data-secret-value]').inputValue()).toBe('');
  for (const path of ['/secrets', '/events', '/']) {
    await page.goto(plane.address + path);
    await loaded(page);
    expect(await page.content()).not.toContain(CANARY);
  }
  const kept = await page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
  );
  expect(kept).not.toContain(CANARY);
  await Promise.all(answers);
  expect(leaks).toEqual([]);
  expect(plane.log).not.toContain(CANARY);
  // Gone with its name typed.
  await page.goto(`${plane.address}/secrets`);
  await page.getByRole('button', { name: 'Delete app-password' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Delete', exact: true }).waitFor();
  expect(
    await dialog.getByRole('button', { name: 'Delete', exact: true }).getAttribute('aria-disabled'),
  ).toBe('true');
  await it.look('secret-delete');
  await dialog.getByLabel(/Type app-password/).fill('app-password');
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByText('No secret yet').waitFor();
  await it.look('secrets');
});
