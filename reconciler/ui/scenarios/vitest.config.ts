/** How the scenarios run: one browser, one control plane at a time, one after the other. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  cacheDir: new URL('../node_modules/.vite', import.meta.url).pathname,
  test: {
    root: new URL('.', import.meta.url).pathname,
    environment: 'node',
    include: ['*.scenario.ts'],
    globalSetup: ['browser-setup.ts'],
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
});
