/**
 * Search for where to go: pages, nodes, services, instances. Knows what the page has read already and
 * asks for nothing. Also the list of keys, and on a phone the pages that its bar has no room for.
 */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { type KeyboardEvent, useId, useMemo, useState } from 'react';
import { Overlay } from '../look/dialog';
import { matches } from '../look/filter';
import { type Mark, markOfInstance, markOfNode, Shape } from '../look/status';
import { instanceSlug, visible } from '../look/text';
import { statusQuery } from '../overview/data';
import { Icon } from './icon';
import { ON_PHONES, PLACES } from './places';

interface Found {
  id: string;
  kind: string;
  name: string;
  to: string;
  mark?: Mark;
}

const MOST = 12;

export function Palette({ onClose }: { onClose: () => void }) {
  const status = useQuery(statusQuery);
  const navigate = useNavigate();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const list = useId();
  const everything = useMemo((): Found[] => {
    const pages = PLACES.map((place) => ({
      id: place.to,
      kind: 'page',
      name: place.name,
      to: place.to,
    }));
    const add: Found = { id: 'add', kind: 'action', name: 'Add a node', to: '/nodes/add' };
    const nodes = (status.data?.nodes ?? []).map((node) => ({
      id: `node/${node.name}`,
      kind: 'node',
      name: node.name,
      to: `/nodes/${encodeURIComponent(node.name)}`,
      mark: markOfNode(node),
    }));
    const services = (status.data?.services ?? []).map((service) => ({
      id: `service/${service.name}`,
      kind: 'service',
      name: service.name,
      to: `/services/${encodeURIComponent(service.name)}`,
    }));
    const instances = (status.data?.services ?? []).flatMap((service) =>
      service.instances.map((row) => ({
        id: `instance/${row.id}@${row.node}`,
        kind: 'instance',
        name: `${row.id} on ${row.node}`,
        to: `/instances/${instanceSlug(row.id)}`,
        mark: markOfInstance(row),
      })),
    );
    return [...pages, add, ...nodes, ...services, ...instances];
  }, [status.data]);
  const found = everything.filter((one) => matches(text, [one.name, one.kind])).slice(0, MOST);
  const current = Math.min(at, Math.max(0, found.length - 1));
  const open = (one: Found | undefined) => {
    if (!one) return;
    onClose();
    void navigate({ to: one.to });
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.min(found.length - 1, current + 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(0, current - 1));
    else if (event.key === 'Enter') open(found[current]);
    else return;
    event.preventDefault();
  };
  return (
    <Overlay title="Search" onClose={onClose}>
      <input
        className="field"
        role="combobox"
        aria-label="Pages, nodes, services, instances"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={found.length > 0 ? `${list}-${current}` : undefined}
        placeholder="Pages, nodes, services, instances"
        // biome-ignore lint/a11y/noAutofocus: it was asked for
        autoFocus
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKey}
      />
      <div id={list} role="listbox" aria-label="Found" className="mt-2 min-h-72">
        {found.map((one, index) => (
          <div
            key={one.id}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === current}
            className={`tap flex min-h-8 cursor-pointer items-center gap-2 rounded px-2 ${index === current ? 'bg-accent-soft' : ''}`}
            onMouseMove={() => setAt(index)}
            onClick={() => open(one)}
            onKeyDown={onKey}
          >
            <span className="w-16 text-xs text-muted">{one.kind}</span>
            {one.mark ? <Shape mark={one.mark} title={one.mark} /> : null}
            <span className="truncate">{visible(one.name)}</span>
          </div>
        ))}
      </div>
      {found.length === 0 ? <p className="text-muted">Nothing of that name.</p> : null}
    </Overlay>
  );
}

const KEYS: [string, string][] = [
  ['Ctrl K', 'search'],
  ['/', 'the filter of the list'],
  ['j  k', 'next and previous row'],
  ['Enter', 'open it'],
  ['Esc', 'back'],
  ['?', 'this'],
];

export function KeyHelp({ onClose }: { onClose: () => void }) {
  const places = PLACES.filter((place) => place.key);
  return (
    <Overlay title="Keys" onClose={onClose}>
      <div className="grid gap-x-6 gap-y-1 sm:grid-cols-2">
        {[...KEYS, ...places.map((place): [string, string] => [`g ${place.key}`, place.name])].map(
          ([key, what]) => (
            <div key={key} className="flex gap-3">
              <kbd className="code w-16 text-muted">{key}</kbd>
              <span>{what}</span>
            </div>
          ),
        )}
      </div>
      <p className="mt-3 text-muted">Single keys can be switched off in the settings.</p>
    </Overlay>
  );
}

export function MorePlaces({ onClose }: { onClose: () => void }) {
  return (
    <Overlay title="More" onClose={onClose}>
      <nav aria-label="More pages" className="grid grid-cols-2 gap-1">
        {PLACES.filter((place) => !ON_PHONES.includes(place.to)).map((place) => (
          <Link
            key={place.to}
            to={place.to}
            onClick={onClose}
            className="flex min-h-11 items-center gap-2 rounded px-2 hover:bg-sunken"
          >
            <Icon path={place.icon} />
            {place.name}
          </Link>
        ))}
      </nav>
    </Overlay>
  );
}
