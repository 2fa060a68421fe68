/**
 * The frame of a page: its heading, which takes the focus after navigation, its acts, its tabs.
 * Knows the document's title. Refuses to know what pages are about.
 */
import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef } from 'react';

export interface Crumb {
  to: string;
  name: string;
}

let first = true;

export function PageFrame({
  title,
  mark,
  crumbs = [],
  acts,
  about,
  children,
}: {
  title: string;
  mark?: ReactNode;
  crumbs?: Crumb[];
  acts?: ReactNode;
  about?: ReactNode;
  children: ReactNode;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · devnet`;
  }, [title]);
  useEffect(() => {
    // Not on the first page: the browser's own order is right there.
    if (first) first = false;
    else heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div className="mx-auto w-full max-w-[1600px] px-3 pb-24 pt-3 sm:px-5 sm:pb-10">
      <div className="mb-3 flex flex-wrap items-center gap-x-3 gap-y-2">
        <div className="flex min-w-0 flex-1 basis-full flex-wrap items-center gap-x-2 sm:basis-auto">
          {crumbs.map((crumb) => (
            <span key={crumb.to} className="text-muted">
              <Link to={crumb.to} className="link">
                {crumb.name}
              </Link>{' '}
              ›
            </span>
          ))}
          <h1 ref={heading} tabIndex={-1} className="min-w-0">
            {title}
          </h1>
          {mark}
        </div>
        {acts ? <div className="flex flex-wrap items-center gap-2">{acts}</div> : null}
        {about ? <div className="w-full text-muted">{about}</div> : null}
      </div>
      {children}
    </div>
  );
}

export interface Tab {
  id: string;
  name: string;
  count?: number | undefined;
}

/** Tabs that live in the address: each is a link, so that it can be opened and shared. */
export function Tabs({ tabs, current, label }: { tabs: Tab[]; current: string; label: string }) {
  return (
    <nav aria-label={label} className="mb-3 flex gap-1 overflow-x-auto border-b border-line">
      {tabs.map((tab) => (
        <Link
          key={tab.id}
          to="."
          search={(before: Record<string, unknown>) => ({ ...before, tab: tab.id })}
          replace
          aria-current={tab.id === current ? 'page' : undefined}
          className={`tap -mb-px inline-flex min-h-8 items-center whitespace-nowrap border-b-2 px-3 py-1 ${
            tab.id === current
              ? 'border-accent font-semibold text-ink'
              : 'border-transparent text-muted hover:text-ink'
          }`}
        >
          {tab.name}
          {tab.count === undefined ? null : (
            <span className="ml-1.5 text-xs text-muted">{tab.count.toLocaleString('en')}</span>
          )}
        </Link>
      ))}
    </nav>
  );
}

export function Panel({
  title,
  acts,
  children,
  flush = false,
}: {
  title?: ReactNode;
  acts?: ReactNode;
  children: ReactNode;
  flush?: boolean;
}) {
  return (
    <section className="panel mb-3 overflow-clip">
      {title ? (
        <div className="flex min-h-9 flex-wrap items-center justify-between gap-2 border-b border-line px-3 py-1">
          <h2>{title}</h2>
          {acts}
        </div>
      ) : null}
      <div className={flush ? '' : 'p-3'}>{children}</div>
    </section>
  );
}

/** Names and values, one under the other. */
export function Facts({ items }: { items: [string, ReactNode][] }) {
  return (
    <dl className="grid content-start grid-cols-[minmax(7rem,max-content)_1fr] gap-x-4 gap-y-1">
      {items.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-muted">{name}</dt>
          <dd className="min-w-0">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
