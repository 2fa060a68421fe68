/**
 * A table of any length: a header that stays, rows of one height, and never more than a screenful of
 * them in the page. On a phone each row takes two lines. Knows columns, sorting and scrolling. Refuses
 * to fetch, and to know what its rows are about.
 */
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';

export interface Column<T> {
  id: string;
  head: string;
  /** A track of a CSS grid: `minmax(8rem,2fr)`. */
  width: string;
  cell: (row: T) => ReactNode;
  /** What it is sorted by; without it, it is not. */
  by?: (row: T) => string | number;
  /** Where it goes on a phone. */
  phone?: 'lead' | 'side' | 'line' | 'none';
  right?: boolean;
  /** Its head is for screen readers only. */
  hidden?: boolean;
}

export interface Sort {
  by: string;
  down: boolean;
}

export function parseSort(text: string | undefined): Sort | undefined {
  if (!text) return undefined;
  return text.startsWith('-') ? { by: text.slice(1), down: true } : { by: text, down: false };
}

export function sorted<T>(rows: T[], columns: Column<T>[], sort: Sort | undefined): T[] {
  const key = columns.find((column) => column.id === sort?.by)?.by;
  if (!sort || !key) return rows;
  const sign = sort.down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const left = key(a);
    const right = key(b);
    if (typeof left === 'number' && typeof right === 'number') return sign * (left - right);
    return sign * String(left).localeCompare(String(right), 'en', { numeric: true });
  });
}

/** True where a row takes two lines. */
export function useNarrow(): boolean {
  const query = useMemo(() => window.matchMedia('(max-width: 640px)'), []);
  const [narrow, set] = useState(query.matches);
  useEffect(() => {
    const look = () => set(query.matches);
    query.addEventListener('change', look);
    return () => query.removeEventListener('change', look);
  }, [query]);
  return narrow;
}

/** Shorter tables are simply there. */
const FEW = 60;

export function Rows<T>({
  label,
  rows,
  columns,
  keyOf,
  sort,
  onSort,
}: {
  label: string;
  rows: T[];
  columns: Column<T>[];
  keyOf: (row: T) => string;
  sort?: Sort | undefined;
  onSort?: (sort: string) => void;
}) {
  const narrow = useNarrow();
  const top = useRef<HTMLDivElement>(null);
  const [margin, setMargin] = useState(0);
  const [dense, setDense] = useState(34);
  const shown = useMemo(() => sorted(rows, columns, sort), [rows, columns, sort]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what stands above moves it
  useLayoutEffect(() => {
    if (!top.current) return;
    setMargin(top.current.getBoundingClientRect().top + window.scrollY);
    const row = getComputedStyle(top.current).getPropertyValue('--row');
    setDense(Number.parseInt(row, 10) || 34);
  }, [rows.length, narrow]);
  const height = narrow ? 62 : dense;
  const many = shown.length > FEW;
  const virtual = useWindowVirtualizer({
    count: many ? shown.length : 0,
    estimateSize: () => height,
    overscan: 8,
    scrollMargin: margin,
  });
  const template = columns.map((column) => column.width).join(' ');
  const row = (item: T, index: number, at?: number) => (
    <div
      role="row"
      key={keyOf(item)}
      aria-rowindex={index + 2}
      data-row={keyOf(item)}
      className={`data-row px-3 ${narrow ? 'short-row py-1.5' : 'grid items-center gap-x-3'} ${at === undefined ? '' : 'absolute inset-x-0 top-0 overflow-hidden'}`}
      style={{
        ...(narrow ? {} : { gridTemplateColumns: template }),
        ...(at === undefined ? {} : { transform: `translateY(${at}px)`, height }),
      }}
    >
      {narrow ? (
        <NarrowCells row={item} columns={columns} />
      ) : (
        <WideCells row={item} columns={columns} />
      )}
    </div>
  );
  return (
    <div role="table" aria-label={label} aria-rowcount={shown.length + 1} className="relative">
      <div role="rowgroup" className={narrow ? 'sr-only' : 'sticky top-11 z-10'}>
        <div
          role="row"
          aria-rowindex={1}
          className="head-row grid min-h-8 items-center gap-x-3 rounded-t-[8px] px-3"
          style={{ gridTemplateColumns: template }}
        >
          {columns.map((column) => (
            <HeadCell key={column.id} column={column} sort={sort} onSort={onSort} />
          ))}
        </div>
      </div>
      <div
        ref={top}
        role="rowgroup"
        className="relative"
        style={many ? { height: virtual.getTotalSize() } : {}}
      >
        {many
          ? virtual.getVirtualItems().map((item) => {
              const found = shown[item.index];
              return found === undefined ? null : row(found, item.index, item.start - margin);
            })
          : shown.map((item, index) => row(item, index))}
      </div>
    </div>
  );
}

function HeadCell<T>({
  column,
  sort,
  onSort,
}: {
  column: Column<T>;
  sort: Sort | undefined;
  onSort: ((sort: string) => void) | undefined;
}) {
  const mine = sort?.by === column.id;
  const order = mine ? (sort.down ? 'descending' : 'ascending') : undefined;
  const place = column.right ? 'text-right' : '';
  if (!column.by || !onSort) {
    return (
      <div role="columnheader" className={place}>
        {column.hidden ? <span className="sr-only">{column.head}</span> : column.head}
      </div>
    );
  }
  return (
    <div role="columnheader" aria-sort={order} className={place}>
      <button
        type="button"
        className="relative inline-flex min-h-6 items-center hover:text-ink"
        onClick={() => onSort(mine && !sort.down ? `-${column.id}` : column.id)}
      >
        {column.head}
        {mine ? (
          <span aria-hidden="true" className={`absolute ${column.right ? '-left-3' : '-right-3'}`}>
            {sort.down ? '↓' : '↑'}
          </span>
        ) : null}
      </button>
    </div>
  );
}

function WideCells<T>({ row, columns }: { row: T; columns: Column<T>[] }) {
  return columns.map((column) => (
    <div
      role="cell"
      key={column.id}
      className={`min-w-0 truncate py-1 ${column.right ? 'text-right' : ''}`}
    >
      {column.cell(row)}
    </div>
  ));
}

function NarrowCells<T>({ row, columns }: { row: T; columns: Column<T>[] }) {
  const at = (where: Column<T>['phone']) =>
    columns.filter((column) => (column.phone ?? 'line') === where);
  return (
    <>
      <div role="presentation" className="flex items-center justify-between gap-3">
        {at('lead').map((column) => (
          <div role="cell" key={column.id} className="min-w-0 truncate font-medium">
            {column.cell(row)}
          </div>
        ))}
        {at('side').map((column) => (
          <div role="cell" key={column.id} className="shrink-0">
            {column.cell(row)}
          </div>
        ))}
      </div>
      <div
        role="presentation"
        className="flex items-center gap-3 overflow-hidden whitespace-nowrap text-xs text-muted"
      >
        {at('line').map((column) => (
          <div role="cell" key={column.id} className="max-w-full truncate">
            {column.cell(row)}
          </div>
        ))}
      </div>
    </>
  );
}
