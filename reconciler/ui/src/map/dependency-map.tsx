/** Services from left to right, each after what it depends on. Arrow keys follow the edges. */
import { Link } from '@tanstack/react-router';
import { type KeyboardEvent, useMemo, useRef } from 'react';
import type { ServiceRow } from '../api/documents';
import { Empty } from '../look/answer';
import { Shape } from '../look/status';
import { visible } from '../look/text';
import { markOfService } from '../overview/data';
import { arrange, type Edge, type Placed, related } from './layout';

const WIDTH = 168;
const HEIGHT = 34;
const GAP_X = 72;
const GAP_Y = 14;
const MOST = 300;

export function edgesOf(services: ServiceRow[]): Edge[] {
  const names = new Set(services.map((service) => service.name));
  return services.flatMap((service) => {
    const to = (list: string[] | undefined, kind: Edge['kind']) =>
      (list ?? [])
        .filter((name) => names.has(name))
        .map((name): Edge => ({ from: service.name, to: name, kind }));
    return [
      ...to(service.depends_on, 'depends'),
      ...to(service.near, 'near'),
      ...to(service.apart_from, 'apart'),
    ];
  });
}

const x = (at: Placed) => at.layer * (WIDTH + GAP_X) + 8;
const y = (at: Placed) => at.row * (HEIGHT + GAP_Y) + 8;

export function DependencyMap({
  services,
  picked,
  pick,
}: {
  services: ServiceRow[];
  picked: string | undefined;
  pick: (service: string | undefined) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const edges = useMemo(() => edgesOf(services), [services]);
  const told = services.some((service) => service.depends_on !== undefined);
  const places = useMemo(
    () =>
      arrange(
        services.map((service) => service.name),
        edges,
      ),
    [services, edges],
  );
  const at = new Map(places.map((place) => [place.name, place]));
  const kin = picked ? related(picked, edges) : undefined;
  if (!told) {
    return (
      <Empty title="What depends on what is not told">
        <p>
          This control plane does not say the dependencies of services yet. They stand in the
          cluster file.
        </p>
      </Empty>
    );
  }
  if (services.length > MOST) {
    return (
      <Empty title={`${services.length} services are too many for a picture`}>
        <p>The table beside it has all of them.</p>
      </Empty>
    );
  }
  const width = Math.max(...places.map((place) => x(place))) + WIDTH + 16;
  const height = Math.max(...places.map((place) => y(place))) + HEIGHT + 16;
  const go = (name: string | undefined) => {
    if (name)
      box.current?.querySelector<HTMLElement>(`[data-service="${CSS.escape(name)}"]`)?.focus();
  };
  const onKey = (event: KeyboardEvent, name: string) => {
    const mine = at.get(name);
    const column = places
      .filter((place) => place.layer === mine?.layer)
      .sort((a, b) => a.row - b.row);
    const index = column.findIndex((place) => place.name === name);
    if (event.key === 'ArrowRight') go(edges.find((edge) => edge.to === name)?.from);
    else if (event.key === 'ArrowLeft') go(edges.find((edge) => edge.from === name)?.to);
    else if (event.key === 'ArrowDown') go(column[index + 1]?.name);
    else if (event.key === 'ArrowUp') go(column[index - 1]?.name);
    else return;
    event.preventDefault();
  };
  return (
    <>
      <div ref={box} className="panel relative overflow-auto" style={{ maxHeight: '70dvh' }}>
        <div className="relative" style={{ width, height }}>
          <svg width={width} height={height} className="absolute inset-0" aria-hidden="true">
            {edges.map((edge) => {
              const from = at.get(edge.from);
              const to = at.get(edge.to);
              if (!from || !to) return null;
              const faded = kin && !(kin.has(edge.from) && kin.has(edge.to));
              const x1 = x(to) + WIDTH;
              const y1 = y(to) + HEIGHT / 2;
              const x2 = x(from);
              const y2 = y(from) + HEIGHT / 2;
              return (
                <path
                  key={`${edge.from} ${edge.to} ${edge.kind}`}
                  d={`M${x1} ${y1}C${x1 + GAP_X / 2} ${y1} ${x2 - GAP_X / 2} ${y2} ${x2} ${y2}`}
                  fill="none"
                  stroke={
                    faded ? 'var(--line)' : edge.kind === 'apart' ? 'var(--warn)' : 'var(--accent)'
                  }
                  strokeWidth="1.5"
                  strokeDasharray={
                    edge.kind === 'depends' ? undefined : edge.kind === 'near' ? '2 3' : '7 4'
                  }
                />
              );
            })}
          </svg>
          {places.map((place) => {
            const service = services.find((one) => one.name === place.name);
            if (!service) return null;
            const faded = kin && !kin.has(place.name);
            return (
              <button
                type="button"
                key={place.name}
                data-service={place.name}
                aria-pressed={picked === place.name}
                onClick={() => pick(place.name)}
                onKeyDown={(event) => onKey(event, place.name)}
                className={`absolute flex items-center gap-2 truncate rounded-md border px-2 text-left ${picked === place.name ? 'border-accent bg-accent-soft font-semibold' : 'border-line-strong bg-surface'} ${faded ? 'border-dashed text-muted' : ''}`}
                style={{ left: x(place), top: y(place), width: WIDTH, height: HEIGHT }}
              >
                <Shape mark={markOfService(service)} title={markOfService(service)} />
                <span className="truncate">{visible(place.name)}</span>
                <span className="ml-auto text-xs text-muted">
                  {service.healthy}/{service.desired}
                </span>
              </button>
            );
          })}
        </div>
      </div>
      <p className="mt-2 text-muted">
        A line leads from a service to what depends on it; dotted: near, dashed: apart.{' '}
        {picked ? (
          <Link to="/services/$service" params={{ service: picked }} className="link">
            Open {visible(picked)}
          </Link>
        ) : null}
      </p>
    </>
  );
}
