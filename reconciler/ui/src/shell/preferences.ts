/**
 * What somebody prefers of the look, kept in this browser: theme, density, single keys. Knows how a
 * preference becomes an attribute of the page. Refuses to keep anything else.
 */
import { useSyncExternalStore } from 'react';

export interface Preferences {
  theme: 'system' | 'light' | 'dark';
  density: 'dense' | 'comfortable';
  keys: boolean;
}

const NAME = 'devnet.preferences';
const USUAL: Preferences = { theme: 'system', density: 'dense', keys: true };
const listeners = new Set<() => void>();

function read(): Preferences {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(NAME) ?? '{}');
    return { ...USUAL, ...(typeof kept === 'object' ? kept : {}) };
  } catch {
    return USUAL;
  }
}

let now = read();
const dark = () => window.matchMedia('(prefers-color-scheme: dark)');

function show(): void {
  const theme = now.theme === 'system' ? (dark().matches ? 'dark' : 'light') : now.theme;
  document.documentElement.dataset.theme = theme;
  document.documentElement.dataset.density = now.density;
}

export function applyPreferences(): void {
  show();
  dark().addEventListener('change', show);
}

export function prefer(change: Partial<Preferences>): void {
  now = { ...now, ...change };
  try {
    localStorage.setItem(NAME, JSON.stringify(now));
  } catch {
    // A browser that keeps nothing keeps the preference for this page.
  }
  show();
  for (const listener of [...listeners]) listener();
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => now,
  );
}
