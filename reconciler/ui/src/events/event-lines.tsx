/** Events as lines: when, about what, what was said. */
import type { Event } from '../api/documents';
import { shortSubject, visible } from '../look/text';
import { Age } from '../look/time';

export function EventLines({ events }: { events: Event[] }) {
  return (
    <ol aria-label="Events">
      {events.map((event) => (
        <li key={event.seq} className="data-row px-3 py-1.5 last:border-b-0">
          <div className="flex gap-2 text-xs text-muted">
            <span className="w-8 shrink-0 text-right">
              <Age at={event.at} />
            </span>
            <span className="chip">{visible(event.kind)}</span>
            <span className="code truncate">{visible(shortSubject(event.subject))}</span>
            {event.by ? <span>by {visible(event.by)}</span> : null}
          </div>
          <div className="pl-10">{visible(event.message)}</div>
        </li>
      ))}
    </ol>
  );
}
