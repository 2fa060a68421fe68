/** Logs: fast ones, and ones that would act if they could. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { Plane, until } from './plane';
import { loaded, loginAt, scenario } from './scenario';
import { cluster } from './services';

const FAST = `
import sys, time
number = 0
while True:
    began = time.monotonic()
    for _ in range(250):
        number += 1
        print(f"line {number} of a log that is written as fast as this", flush=False)
    sys.stdout.flush()
    time.sleep(max(0, 0.05 - (time.monotonic() - began)))
`;

const EVIL = String.raw`
import time
print("\x1b[31mred\x1b[0m \x1b]0;title\x07 <script>window.owned = 1</script>", flush=True)
print("<img src=x onerror='window.owned=2'> \u202egnp.exe javascript:alert(1)", flush=True)
print("ERROR this is the last of it", flush=True)
while True: time.sleep(3600)
`;

const block = (name: string) => `service "${name}" {
    process "python3" "-u" "${name}.py"
    file "${name}.py" source="${name}.py"
    resources cpu=0.01 memory="16MiB"
}
`;

let plane: Plane;
beforeAll(async () => {
  plane = await Plane.start({
    files: { ...cluster(block('fast'), block('evil')), 'fast.py': FAST, 'evil.py': EVIL },
    nodes: ['n1'],
  });
  await plane.settled(await plane.git('rev-parse', 'HEAD'));
});
afterAll(() => plane?.end());

scenario(21, 'a fast log: it follows, pauses, goes on, is searched and saved', async (it) => {
  const { page } = it;
  await loginAt(page, plane.address, plane.key, '/services/fast?tab=logs');
  const log = page.getByRole('log');
  await log
    .getByText(/^line \d+ of a log/)
    .first()
    .waitFor();
  const lines = async () =>
    Number(
      /^([\d,]+) lines/
        .exec((await page.locator('[data-log-foot]').textContent()) ?? '')?.[1]
        ?.replace(/,/g, '') ?? 0,
    );
  const began = Date.now();
  const from = await lines();
  await until('ten thousand lines more', async () => (await lines()) - from > 10_000);
  const rate = (((await lines()) - from) * 1000) / (Date.now() - began);
  expect(rate).toBeGreaterThan(1000);
  expect(await page.locator('[role="log"] [data-index]').count()).toBeLessThan(100);
  const frames = await page.evaluate(async () => {
    const times: number[] = [];
    let last = performance.now();
    for (let frame = 0; frame < 120; frame += 1) {
      await new Promise<number>((resolve) => requestAnimationFrame(resolve));
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    return times.sort((a, b) => a - b);
  });
  console.log(
    `log: ${Math.round(rate)} lines/s, frames median ${frames[60]?.toFixed(1)} ms, p99 ${frames[118]?.toFixed(1)} ms`,
  );
  // Reading: it stays where it is, and says how much is new.
  await log.hover();
  await page.mouse.wheel(0, -600);
  await page.locator('[data-following="false"]').waitFor();
  const button = page.getByRole('button', { name: /▼ [\d,]+ new/ });
  await button.waitFor();
  const shown = await log.locator('[data-index]').first().getAttribute('data-index');
  await it.look('log-paused');
  expect(await log.locator('[data-index]').first().getAttribute('data-index')).toBe(shown);
  await button.click();
  await page.locator('[data-following="true"]').waitFor();
  await page.getByLabel('Search the log').fill('line 42 of');
  await page.getByLabel('From').selectOption('all');
  await log.locator('mark').first().waitFor();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download' }).click(),
  ]);
  const saved = join(plane.dir, 'log.txt');
  await download.saveAs(saved);
  expect(readFileSync(saved, 'utf8')).toMatch(/line 42 of a log/);
});

scenario(22, 'what would act is text', async (it) => {
  const { page } = it;
  await plane.commit('<img src=x onerror="window.owned=3"> \u202e \u001b[31m', {});
  await loginAt(page, plane.address, plane.key, '/services/evil?tab=logs');
  const log = page.getByRole('log');
  await log.getByText('ERROR this is the last of it').waitFor();
  const text = (await log.textContent()) ?? '';
  expect(text).toContain('\\u{1b}[31mred');
  expect(text).toContain('<script>window.owned = 1</script>');
  expect(text).toContain('\\u{202e}gnp.exe');
  expect(text).not.toContain('\u001b');
  expect(await log.locator('script, img, a').count()).toBe(0);
  await it.look('log-inert');
  await page.goto(`${plane.address}/events`);
  await loaded(page);
  await page.getByText('<img src=x onerror').first().waitFor();
  expect(await page.locator('main img').count()).toBe(0);
  expect(
    await page.evaluate(() => (window as unknown as { owned?: number }).owned),
  ).toBeUndefined();
  await it.look('events-inert');
});
