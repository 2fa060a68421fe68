/** Text of a machine, as it is: it scrolls sideways inside its box, which the keyboard reaches. */
import { visible } from './text';

export function Code({ text, label, kind }: { text: string; label: string; kind?: string }) {
  return (
    <pre
      role="region"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
      tabIndex={0}
      data-code={kind}
      className="code overflow-auto"
    >
      {visible(text)}
    </pre>
  );
}
