/** What a plan changes, in the marks of the command line: `+ ~ > - -/+`. */
import type { Action, Summary } from '../api/documents';

const PARTS: [keyof Summary, string, string, string][] = [
  ['add', '+', 'add', 'text-good'],
  ['change', '~', 'change', 'text-warn'],
  ['moved', '>', 'move', 'text-accent'],
  ['destroy', '-', 'destroy', 'text-bad'],
  ['forget', '·', 'forget', 'text-muted'],
];

export function SummaryMarks({ summary, whole = false }: { summary: Summary; whole?: boolean }) {
  const shown = PARTS.filter(([field]) => summary[field] > 0 || (whole && field !== 'forget'));
  if (shown.length === 0) return <span className="text-muted">no changes</span>;
  return (
    <span className="inline-flex flex-wrap gap-x-3" data-summary>
      {shown.map(([field, mark, word, colour]) => (
        <span key={field} className="whitespace-nowrap">
          <span className={`code font-bold ${summary[field] > 0 ? colour : 'text-muted'}`}>
            {mark}
          </span>{' '}
          {summary[field].toLocaleString('en')} {word}
        </span>
      ))}
    </span>
  );
}

export const ACTIONS: Record<Action, { mark: string; word: string; colour: string }> = {
  create: { mark: '+', word: 'create', colour: 'text-good' },
  update: { mark: '~', word: 'update', colour: 'text-warn' },
  replace: { mark: '-/+', word: 'replace', colour: 'text-bad' },
  move: { mark: '>', word: 'move', colour: 'text-accent' },
  delete: { mark: '-', word: 'destroy', colour: 'text-bad' },
  forget: { mark: '·', word: 'forget', colour: 'text-muted' },
  noop: { mark: '=', word: 'leave', colour: 'text-muted' },
};
