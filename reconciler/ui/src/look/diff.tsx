/**
 * A unified diff as text. Knows its lines, and folds long runs of equal ones with their number.
 * Refuses to compute a difference: the server did.
 */
import { useMemo, useState } from 'react';
import { visible } from './text';

interface Piece {
  kind: 'equal' | 'add' | 'del' | 'hunk' | 'fold';
  lines: string[];
}

/** Equal lines shown on each side of a change. */
const AROUND = 3;

export function pieces(diff: string): Piece[] {
  const found: Piece[] = [];
  for (const line of diff.replace(/\n$/, '').split('\n')) {
    const kind =
      line.startsWith('@@') || line.startsWith('---') || line.startsWith('+++')
        ? 'hunk'
        : line.startsWith('+')
          ? 'add'
          : line.startsWith('-')
            ? 'del'
            : 'equal';
    const last = found[found.length - 1];
    if (last?.kind === kind) last.lines.push(line);
    else found.push({ kind, lines: [line] });
  }
  return found.flatMap((piece, index) => {
    if (piece.kind !== 'equal' || piece.lines.length <= 2 * AROUND + 1) return [piece];
    const head = index === 0 ? 0 : AROUND;
    const tail = index === found.length - 1 ? 0 : AROUND;
    return [
      { kind: 'equal' as const, lines: piece.lines.slice(0, head) },
      { kind: 'fold' as const, lines: piece.lines.slice(head, piece.lines.length - tail) },
      { kind: 'equal' as const, lines: piece.lines.slice(piece.lines.length - tail) },
    ].filter((part) => part.lines.length > 0);
  });
}

const LOOK = { add: 'diff-add', del: 'diff-del', hunk: 'text-muted', equal: '', fold: '' };

export function Diff({ text, label }: { text: string; label: string }) {
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const parts = useMemo(() => pieces(text), [text]);
  return (
    <div
      role="region"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
      tabIndex={0}
      className="code max-h-[60vh] overflow-auto rounded-md border border-line bg-sunken py-1"
    >
      {parts.map((piece, index) =>
        piece.kind === 'fold' && !open.has(index) ? (
          <button
            type="button"
            key={index}
            className="link block min-h-6 w-full px-3 text-left"
            onClick={() => setOpen(new Set([...open, index]))}
          >
            {piece.lines.length} equal lines
          </button>
        ) : (
          <pre key={index} className={`min-w-max px-3 ${LOOK[piece.kind]}`}>
            {visible(piece.lines.join('\n'))}
          </pre>
        ),
      )}
    </div>
  );
}
