/**
 * A bar of what a thing has: placed, kept for the host, free; a thin line for what is measured.
 * Knows parts of a whole. Refuses to draw what is not known: it says so.
 */

export interface Part {
  amount: number;
  /** `placed`, `reserved`, or the name of what takes it. */
  name: string;
  kind: 'placed' | 'reserved' | 'estimate';
}

const FILL: Record<Part['kind'], string> = {
  placed: 'var(--bar-placed)',
  reserved: 'var(--bar-reserved)',
  estimate: 'url(#hatch)',
};

export function Meter({
  label,
  whole,
  parts,
  measured,
  text,
  wide = false,
}: {
  label: string;
  whole: number;
  parts: Part[];
  measured?: number | undefined;
  text: string;
  wide?: boolean;
}) {
  let at = 0;
  const width = (amount: number) => (whole > 0 ? Math.min(100, (amount / whole) * 100) : 0);
  const told = parts.map((part) => `${part.name} ${Math.round(width(part.amount))}%`).join(', ');
  return (
    <div className={wide ? 'w-full' : 'min-w-24'}>
      <div className="flex justify-between gap-2 text-xs">
        <span className="text-muted">{label}</span>
        <span className="whitespace-nowrap">{text}</span>
      </div>
      <svg
        viewBox="0 0 100 8"
        preserveAspectRatio="none"
        className="block h-2 w-full overflow-hidden rounded-sm"
        role="img"
        aria-label={`${label}: ${text}${told ? `; ${told}` : ''}`}
      >
        <defs>
          <pattern id="hatch" width="3" height="3" patternUnits="userSpaceOnUse">
            <rect width="3" height="3" fill="var(--bar-free)" />
            <rect width="1.5" height="3" fill="var(--bar-placed)" />
          </pattern>
        </defs>
        <rect width="100" height="8" fill="var(--bar-free)" className="meter-part" />
        {parts.map((part, index) => {
          const x = at;
          at += width(part.amount);
          return (
            <rect
              key={index}
              x={x}
              width={Math.max(0, at - x)}
              height="8"
              fill={FILL[part.kind]}
              className="meter-part"
            />
          );
        })}
        {measured === undefined ? null : (
          <rect y="3" width={width(measured)} height="2" fill="var(--bar-use)" />
        )}
      </svg>
    </div>
  );
}

export function UnknownMeter({ label }: { label: string }) {
  return (
    <div className="min-w-24">
      <div className="flex justify-between gap-2 text-xs">
        <span className="text-muted">{label}</span>
        <span className="text-muted">unknown</span>
      </div>
      <div className="h-2 rounded-sm border border-dashed border-line-strong" />
    </div>
  );
}

/** How far something is, of so many. */
export function Progress({ done, total, label }: { done: number; total: number; label: string }) {
  return (
    <Meter
      label={label}
      whole={total}
      parts={[{ amount: done, name: 'done', kind: 'placed' }]}
      text={`${done}/${total}`}
      wide
    />
  );
}
