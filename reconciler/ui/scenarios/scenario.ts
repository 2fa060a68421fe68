/**
 * What every scenario begins and ends with: a fresh context of the one browser; at the end axe without a
 * violation, a screenshot, and no error of the console or of the policy. Refuses to intercept a request.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';
import { expect, inject, test } from 'vitest';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const OUT = new URL('./out/', import.meta.url).pathname;
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

let browser: Browser | undefined;

async function shared(): Promise<Browser> {
  browser ??= await chromium.connect(inject('browser'));
  return browser;
}

export interface Scene {
  context: BrowserContext;
  page: Page;
  /** An answer of this status is part of the scenario: the browser's own line about it is no fault. */
  expects(status: number): void;
  /** Looks at the page as it stands: axe and a screenshot of this name. */
  look(name: string, page?: Page): Promise<void>;
}

/** What axe finds, by rule and first element. */
export async function violations(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  const run = `${AXE};axe.run(document,{runOnly:${JSON.stringify(TAGS)}}).then((found)=>JSON.stringify(found.violations.map((one)=>one.id+': '+one.nodes[0].html.slice(0,160)+' '+one.nodes[0].failureSummary)))`;
  const answer = await session.send('Runtime.evaluate', {
    expression: run,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  return JSON.parse(String(answer.result.value)) as string[];
}

interface Watched {
  faults: { text: string; url: string }[];
  expected: Set<number>;
  /** Routes that this control plane does not have: pages draw that, and the browser says it, too. */
  absent: Promise<string | undefined>[];
}

function listen(page: Page, watched: Watched): void {
  const { faults, expected, absent } = watched;
  page.on('pageerror', (error) => faults.push({ text: `page: ${error.message}`, url: '' }));
  page.on('response', (answer) => {
    if (answer.status() !== 404 || !answer.url().includes('/api/')) return;
    absent.push(
      answer.text().then(
        (text) => (text.includes('there is no such route') ? answer.url() : undefined),
        () => undefined,
      ),
    );
  });
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const text = message.text();
    const status = Number(/the server responded with a status of (\d+)/.exec(text)?.[1] ?? 0);
    if (status === 501 || expected.has(status)) return;
    if (expected.has(0) && /net::ERR_|Failed to load resource/.test(text)) return;
    faults.push({ text: `console: ${text}`, url: message.location().url });
  });
}

export async function scene(
  options: BrowserContextOptions,
  run: (it: Scene) => Promise<void>,
): Promise<void> {
  const all = await shared();
  const context = await all.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 860 },
    ...options,
  });
  const watched: Watched = { faults: [], expected: new Set(), absent: [] };
  context.on('page', (page) => listen(page, watched));
  const page = await context.newPage();
  mkdirSync(OUT, { recursive: true });
  const look = async (name: string, one = page) => {
    await one.screenshot({ path: `${OUT}${name}.png` });
    expect(await violations(one), `axe, ${name}`).toEqual([]);
  };
  try {
    await run({ context, page, expects: (status) => void watched.expected.add(status), look });
    const absent = new Set(await Promise.all(watched.absent));
    expect(watched.faults.filter((fault) => !absent.has(fault.url))).toEqual([]);
  } catch (error) {
    await page
      .screenshot({
        path: `${OUT}failed-${expect.getState().currentTestName?.replace(/\W+/g, '-')}.png`,
      })
      .catch(() => undefined);
    throw error;
  } finally {
    await context.close();
  }
}

/** One of the design's scenarios, by its number. */
export function scenario(
  number: number,
  name: string,
  run: (it: Scene) => Promise<void>,
  options: BrowserContextOptions = {},
): void {
  // Both themes are seen: the even ones in the dark.
  const colorScheme = number % 2 === 0 ? ('dark' as const) : ('light' as const);
  test(`${number} ${name}`, () => scene({ colorScheme, ...options }, run));
}

export async function loginAt(page: Page, address: string, key: string, path = '/'): Promise<void> {
  await page.goto(`${address}/login?next=${encodeURIComponent(path)}`);
  await page.getByLabel('API key or one-time code').fill(key);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('main h1').first().waitFor();
  await page.locator('[data-live="live"]').waitFor();
}

/** Follows a link inside the app, so that the session and the stream go on. */
export async function goTo(page: Page, path: string): Promise<void> {
  await page.evaluate((to) => {
    window.history.pushState({}, '', to);
    window.dispatchEvent(new PopStateEvent('popstate'));
  }, path);
  await page.locator('main h1').first().waitFor();
}

/** No skeleton is left on the page. */
export async function loaded(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector('[aria-label="Loading"]') === null);
}
