/** Starts the one browser of a run: Debian's Chromium, or the one that DEVNET_CHROMIUM names. */
import { chromium } from 'playwright-core';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    browser: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await chromium.launchServer({
    executablePath: process.env.DEVNET_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      // Root may not use Chromium's sandbox; the pages are the project's own.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      // Where a browser needs more to run at all.
      ...(process.env.DEVNET_CHROMIUM_ARGS ?? '').split(' ').filter((flag) => flag !== ''),
    ],
  });
  project.provide('browser', server.wsEndpoint());
  return () => server.close();
}
