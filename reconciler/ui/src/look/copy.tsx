/** Text to take along: a command, a block of a file. Knows the clipboard, and what to do without it. */
import { useState } from 'react';
import { tell } from './toast';

export function CopyButton({
  text,
  what,
  look = 'button-small',
  word = 'Copy',
}: {
  text: string;
  what: string;
  look?: string;
  word?: string;
}) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      tell(`Copied: ${what}.`);
    } catch {
      tell(`The browser does not let ${what} be copied: select it and copy by hand.`);
    }
  };
  return (
    <button type="button" className={`button ${look}`} onClick={() => void copy()}>
      {word}
      <span className="sr-only"> {what}</span>
    </button>
  );
}

/** A line to paste into a terminal. */
export function Command({ line, what = 'the command' }: { line: string; what?: string }) {
  return (
    <div className="flex items-start gap-2 rounded-md border border-line bg-sunken p-2 text-left">
      <code className="code min-w-0 flex-1 whitespace-pre-wrap py-0.5 text-ink">{line}</code>
      <CopyButton text={line} what={what} />
    </div>
  );
}

/** Text that is shown on request only. */
export function Hidden({ text, what }: { text: string; what: string }) {
  const [shown, show] = useState(false);
  return (
    <div className="flex items-center gap-2">
      <code className="code min-w-0 flex-1">{shown ? text : '•'.repeat(24)}</code>
      <button type="button" className="button button-small" onClick={() => show(!shown)}>
        {shown ? 'Hide' : 'Show'}
      </button>
      <CopyButton text={text} what={what} />
    </div>
  );
}
