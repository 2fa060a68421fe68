/**
 * What stands around every page: navigation, search, the state of the connection, who is there. Knows
 * that nobody sees a page without a session, and that one which ends leaves the page behind the login.
 */

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useMemo, useState } from 'react';
import { logout, resume } from '../api/client';
import { follow, useLive } from '../api/live';
import { asApiError } from '../api/problem';
import { useWho } from '../api/session';
import { ProblemView } from '../look/problem-view';
import { Shape } from '../look/status';
import { visible } from '../look/text';
import { Toast, tell } from '../look/toast';
import { statusQuery } from '../overview/data';
import { Banner } from './banner';
import { Icon } from './icon';
import { useKeys } from './keyboard';
import { GROUPS, ON_PHONES, PLACES } from './places';
import { usePreferences } from './preferences';

const Palette = lazy(() => import('./palette').then((it) => ({ default: it.Palette })));
const KeyHelp = lazy(() => import('./palette').then((it) => ({ default: it.KeyHelp })));
const MorePlaces = lazy(() => import('./palette').then((it) => ({ default: it.MorePlaces })));
const LoginAgain = lazy(() => import('./login-again').then((it) => ({ default: it.LoginAgain })));

type Over = 'palette' | 'help' | 'more' | undefined;

export function Shell() {
  const who = useWho();
  const navigate = useNavigate();
  const [failure, setFailure] = useState<unknown>();
  useEffect(() => {
    if (who.state === 'asking') resume().catch(setFailure);
    if (who.state === 'nobody') {
      const here = window.location.pathname + window.location.search;
      void navigate({ to: '/login', search: here === '/' ? {} : { next: here }, replace: true });
    }
  }, [who.state, navigate]);
  if (who.state === 'here' || who.state === 'ended') return <Inside />;
  return (
    <main className="mx-auto max-w-lg p-6">
      {failure ? (
        <ProblemView error={failure} retry={() => window.location.reload()} />
      ) : (
        <p className="skeleton h-5" role="status" aria-label="Loading" />
      )}
    </main>
  );
}

function Inside() {
  const who = useWho();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const preferences = usePreferences();
  const [over, setOver] = useState<Over>();
  useEffect(() => (who.state === 'here' ? follow(queries) : undefined), [who.state, queries]);
  const acts = useMemo(
    () => ({
      go: (to: string) => void navigate({ to }),
      palette: () => setOver('palette'),
      help: () => setOver('help'),
      back: () => window.history.back(),
    }),
    [navigate],
  );
  useKeys(acts, preferences.keys);
  return (
    <div className="sm:grid sm:grid-cols-[3.25rem_1fr] lg:grid-cols-[11.5rem_1fr]">
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:fixed focus:left-2 focus:top-2 focus:z-50 focus:bg-raised focus:p-2"
      >
        To the page
      </a>
      <SideBar />
      <div className="min-w-0">
        <TopBar onSearch={acts.palette} onHelp={acts.help} />
        <Banner />
        <main id="main" tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      <PhoneBar onMore={() => setOver('more')} />
      <Toast />
      <Suspense>
        {over === 'palette' ? <Palette onClose={() => setOver(undefined)} /> : null}
        {over === 'help' ? <KeyHelp onClose={() => setOver(undefined)} /> : null}
        {over === 'more' ? <MorePlaces onClose={() => setOver(undefined)} /> : null}
        {who.state === 'ended' ? <LoginAgain session={who.session} /> : null}
      </Suspense>
    </div>
  );
}

function isCurrent(to: string, path: string): boolean {
  if (to === '/') return path === '/';
  if (to === '/services' && path.startsWith('/instances/')) return true;
  return path === to || path.startsWith(`${to}/`);
}

function usePath(): string {
  return useRouterState({ select: (state) => state.location.pathname });
}

function SideBar() {
  const path = usePath();
  return (
    <nav
      aria-label="Pages"
      className="sticky top-0 hidden h-dvh overflow-y-auto border-r border-line bg-surface px-1.5 py-2 sm:block lg:px-2"
    >
      <Link to="/" className="mb-2 flex h-8 items-center gap-2 px-2 font-semibold">
        <img src="/ui/icon.svg" alt="" width="20" height="20" />
        <span className="sr-only lg:not-sr-only">devnet</span>
      </Link>
      {GROUPS.map((group) => (
        <div key={group.name} className="mb-2">
          <div className="hidden px-2 pb-0.5 pt-1 text-xs text-muted lg:block">{group.name}</div>
          {group.places.map((place) => {
            const current = isCurrent(place.to, path);
            return (
              <Link
                key={place.to}
                to={place.to}
                title={place.key ? `${place.name} (g ${place.key})` : place.name}
                aria-current={current ? 'page' : undefined}
                className={`tap flex h-8 items-center justify-center gap-2.5 rounded-md px-2 lg:justify-start ${
                  current
                    ? 'bg-accent-soft font-medium text-ink'
                    : 'text-muted hover:bg-sunken hover:text-ink'
                }`}
              >
                <Icon path={place.icon} />
                <span className="sr-only whitespace-nowrap lg:not-sr-only">{place.name}</span>
              </Link>
            );
          })}
        </div>
      ))}
    </nav>
  );
}

function PhoneBar({ onMore }: { onMore: () => void }) {
  const path = usePath();
  const places = PLACES.filter((place) => ON_PHONES.includes(place.to));
  const look = 'flex min-h-14 flex-1 flex-col items-center justify-center gap-0.5 text-[11px]';
  return (
    <nav
      aria-label="Pages, short"
      className="fixed inset-x-0 bottom-0 z-30 flex border-t border-line bg-surface sm:hidden"
    >
      {places.map((place) => {
        const current = isCurrent(place.to, path);
        return (
          <Link
            key={place.to}
            to={place.to}
            aria-current={current ? 'page' : undefined}
            className={`${look} ${current ? 'font-semibold text-accent' : 'text-muted'}`}
          >
            <Icon path={place.icon} />
            {place.name}
          </Link>
        );
      })}
      <button type="button" className={`${look} text-muted`} onClick={onMore}>
        <Icon path="M4 10h.1M10 10h.1M16 10h.1" />
        More
      </button>
    </nav>
  );
}

const LIVE_WORDS = {
  connecting: ['starting', 'connecting'],
  live: ['online', 'live'],
  offline: ['offline', 'offline'],
  'not-ready': ['waiting', 'not ready'],
  paused: ['cordoned', 'paused'],
  ended: ['cordoned', 'logged out'],
  'not-available': ['unknown', 'not live'],
} as const;

function TopBar({ onSearch, onHelp }: { onSearch: () => void; onHelp: () => void }) {
  const who = useWho();
  const live = useLive();
  const status = useQuery(statusQuery);
  const session = who.state === 'here' || who.state === 'ended' ? who.session : undefined;
  const [mark, word] = LIVE_WORDS[live.state];
  const leave = () => {
    logout().catch((error) => tell(asApiError(error).message));
  };
  return (
    <header className="sticky top-0 z-20 flex h-11 items-center gap-2 border-b border-line bg-surface px-3 sm:px-5">
      <span className="min-w-0 truncate font-semibold" data-cluster>
        {status.data?.cluster ? visible(status.data.cluster) : 'no cluster yet'}
      </span>
      <span className="flex-1" />
      <button
        type="button"
        className="button button-small min-w-0 text-muted sm:min-w-52 sm:justify-between"
        onClick={onSearch}
      >
        <span>Search</span>
        <kbd className="code hidden sm:inline">Ctrl K</kbd>
      </button>
      <span className="inline-flex items-center gap-1.5 px-1" data-live={live.state}>
        <Shape mark={mark} />
        <span className="hidden sm:inline">{word}</span>
        <span className="sr-only sm:hidden">{word}</span>
      </span>
      <button
        type="button"
        className="button button-plain button-small hidden sm:inline-flex"
        aria-label="Keys"
        onClick={onHelp}
      >
        ?
      </button>
      {session ? (
        <details className="group relative" data-account>
          <summary className="button button-small list-none">
            <span className="max-w-24 truncate">{visible(session.name)}</span>
            <span className="hidden text-muted sm:inline">{session.role}</span>
          </summary>
          <div className="absolute right-0 top-full z-30 mt-1 w-56 rounded-md border border-line bg-raised p-3 shadow-lg">
            <div className="font-semibold">{visible(session.name)}</div>
            <div className="mb-2 text-muted">role {session.role}</div>
            <Link to="/settings" className="link block py-1">
              Theme, density, keys
            </Link>
            <button type="button" className="button mt-2 w-full" onClick={leave}>
              Log out
            </button>
          </div>
        </details>
      ) : null}
    </header>
  );
}
