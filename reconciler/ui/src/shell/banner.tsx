/**
 * The strip above every page when the page is not what it seems: not connected, not ready. Knows the
 * state of the stream. Refuses to appear for what mends itself within two seconds.
 */
import { retryNow, useLive } from '../api/live';
import type { Live } from '../api/watch';
import { clock, span } from '../look/amount';
import { useNow } from '../look/time';

function Words({ live }: { live: Live }) {
  const now = useNow();
  switch (live.state) {
    case 'offline':
      return (
        <>
          <strong>Not connected</strong> for {span(now - live.since)}. The page is as of{' '}
          {clock(live.since)}; nothing can be changed from here until it is back.
        </>
      );
    case 'not-ready':
      return (
        <>
          <strong>Not ready:</strong> {live.why}
        </>
      );
    case 'not-available':
      return (
        <>
          <strong>No live updates:</strong> this control plane does not say what changes. Reload the
          page to read it again.
        </>
      );
    default:
      return null;
  }
}

export function Banner() {
  const live = useLive();
  const shown =
    live.state === 'offline' || live.state === 'not-ready' || live.state === 'not-available';
  return (
    <div role="status" data-banner={live.state}>
      {shown ? (
        <div className="flex flex-wrap items-center gap-3 border-b border-line bg-warn-soft px-4 py-1.5">
          <span className="flex-1">
            <Words live={live} />
          </span>
          {live.state === 'offline' ? (
            <button type="button" className="button button-small" onClick={retryNow}>
              Try now
            </button>
          ) : null}
        </div>
      ) : null}
    </div>
  );
}
