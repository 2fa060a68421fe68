/**
 * Keys that work everywhere. Knows which keys are somebody's typing and leaves them alone. Refuses to
 * work without the preference.
 */
import { useEffect } from 'react';
import { PLACES } from './places';

export interface KeyActs {
  go: (to: string) => void;
  palette: () => void;
  help: () => void;
  back: () => void;
}

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName))
  );
}

/** The rows of the page's list, each with the link that opens it. */
function rowLinks(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>('main [data-row]')].flatMap((row) => {
    const link = row.querySelector<HTMLElement>('a[href], button');
    return link ? [link] : [];
  });
}

function step(by: number): void {
  const links = rowLinks();
  if (links.length === 0) return;
  const at = links.indexOf(document.activeElement as HTMLElement);
  const next = links[Math.min(links.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

export function useKeys(acts: KeyActs, single: boolean): void {
  useEffect(() => {
    let leader = 0;
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        acts.palette();
        return;
      }
      if (!single || event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing(event.target) || document.querySelector('[role="dialog"]')) return;
      if (leader > 0 && event.timeStamp - leader < 1500) {
        leader = 0;
        const place = PLACES.find((one) => one.key === event.key);
        if (place) {
          event.preventDefault();
          acts.go(place.to);
        }
        return;
      }
      switch (event.key) {
        case 'g':
          leader = event.timeStamp;
          break;
        case '/': {
          const filter = document.querySelector<HTMLElement>('[data-filter]');
          if (filter) {
            event.preventDefault();
            filter.focus();
          }
          break;
        }
        case 'j':
          step(1);
          break;
        case 'k':
          step(-1);
          break;
        case '?':
          acts.help();
          break;
        case 'Escape':
          acts.back();
          break;
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [acts, single]);
}
