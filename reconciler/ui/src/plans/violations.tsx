/** What speaks against a node: each constraint in the planner's words, which name need and free, and the line that asks for it. */
import type { Violation } from '../api/documents';
import { visible } from '../look/text';

export function ViolationList({ violations }: { violations: Violation[] }) {
  return (
    <ul>
      {violations.map((one, index) => (
        <li key={index} className="flex flex-wrap items-baseline gap-x-2">
          <span className="chip">{visible(one.constraint)}</span>
          <span>{visible(one.text)}</span>
          {one.at ? <span className="code text-muted">{visible(one.at)}</span> : null}
        </li>
      ))}
    </ul>
  );
}
