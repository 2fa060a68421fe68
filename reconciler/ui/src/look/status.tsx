/**
 * How a state looks: a shape, a word and a colour, in this order of importance. Knows every state
 * that the API tells, and that unknown is not down. Refuses to conclude a state from others.
 */
import type { DeploymentState, InstanceRow, NodeRow } from '../api/documents';

export type Mark =
  | 'healthy'
  | 'starting'
  | 'unhealthy'
  | 'exited'
  | 'completed'
  | 'failed'
  | 'offline'
  | 'lost'
  | 'unknown'
  | 'cordoned'
  | 'waiting'
  | 'online'
  | 'running'
  | 'cancelled'
  | 'interrupted'
  | 'not-run';

const COLOUR: Record<Mark, string> = {
  healthy: 'text-good',
  online: 'text-good',
  completed: 'text-good',
  starting: 'text-accent',
  running: 'text-accent',
  waiting: 'text-muted',
  cordoned: 'text-muted',
  unhealthy: 'text-warn',
  interrupted: 'text-warn',
  cancelled: 'text-muted',
  exited: 'text-idle',
  failed: 'text-bad',
  lost: 'text-idle',
  offline: 'text-idle',
  unknown: 'text-idle',
  'not-run': 'text-idle',
};

function shape(mark: Mark) {
  switch (mark) {
    case 'healthy':
    case 'online':
      return <circle cx="6" cy="6" r="5" fill="currentColor" />;
    case 'completed':
      return <path d="M1.5 6.5 5 10l5.5-8" fill="none" stroke="currentColor" strokeWidth="2" />;
    case 'starting':
    case 'running':
      return (
        <>
          <circle cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" strokeWidth="1.4" />
          <path d="M6 6V1.4A4.6 4.6 0 0 1 10.6 6Z" fill="currentColor" />
        </>
      );
    case 'unhealthy':
    case 'interrupted':
      return <path d="M6 .8 11.6 11H.4Z" fill="currentColor" />;
    case 'exited':
      return <rect x="1.5" y="1.5" width="9" height="9" fill="currentColor" />;
    case 'failed':
      return <path d="m2 2 8 8m0-8-8 8" stroke="currentColor" strokeWidth="2.4" fill="none" />;
    case 'offline':
    case 'lost':
      return (
        <circle
          cx="6"
          cy="6"
          r="4.6"
          fill="none"
          stroke="currentColor"
          strokeWidth="1.6"
          strokeDasharray="2 1.6"
        />
      );
    case 'cordoned':
      return (
        <>
          <circle cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" strokeWidth="1.4" />
          <path d="M4 2.4v7.2M6 1.6v8.8M8 2.4v7.2" stroke="currentColor" strokeWidth="1.2" />
        </>
      );
    case 'waiting':
      return (
        <>
          <circle cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" strokeWidth="1.4" />
          <path d="M6 3.2V6l2 1.4" fill="none" stroke="currentColor" strokeWidth="1.4" />
        </>
      );
    case 'cancelled':
    case 'not-run':
      return <path d="M1.5 6h9" stroke="currentColor" strokeWidth="2.2" />;
    case 'unknown':
      return (
        <path
          d="M3.2 4.1C3.2 2.4 4.5 1.4 6 1.4s2.9 1 2.9 2.5C8.9 5.8 6 5.9 6 7.9M6 9.7v1.5"
          fill="none"
          stroke="currentColor"
          strokeWidth="1.8"
        />
      );
  }
}

/** The shape alone; the word has to stand beside it, or in `title`. */
export function Shape({ mark, title }: { mark: Mark; title?: string }) {
  return (
    <svg
      viewBox="0 0 12 12"
      width="12"
      height="12"
      className={`inline-block shrink-0 ${COLOUR[mark]}`}
      role={title ? 'img' : undefined}
      aria-label={title}
      aria-hidden={title ? undefined : true}
    >
      {shape(mark)}
    </svg>
  );
}

export function StatusMark({ mark, word }: { mark: Mark; word?: string }) {
  return (
    <span className="inline-flex items-center gap-1.5 whitespace-nowrap" data-mark={mark}>
      <Shape mark={mark} />
      <span>{word ?? mark.replace('-', ' ')}</span>
    </span>
  );
}

/** What is to be said first of an instance. */
export function markOfInstance(row: Pick<InstanceRow, 'state' | 'health'>): Mark {
  switch (row.state) {
    case 'unknown':
      return 'unknown';
    case 'exited':
      return 'exited';
    case 'completed':
      return 'completed';
    case 'starting':
      return 'starting';
    case 'running':
      return row.health;
  }
}

export function markOfNode(row: Pick<NodeRow, 'status' | 'cordoned'>): Mark {
  if (row.status === 'lost') return 'lost';
  if (row.status === 'offline') return 'offline';
  return row.cordoned ? 'cordoned' : 'online';
}

const DEPLOYMENT: Record<DeploymentState, Mark> = {
  running: 'running',
  succeeded: 'completed',
  incomplete: 'waiting',
  failed: 'failed',
  cancelled: 'cancelled',
  interrupted: 'interrupted',
};

export function markOfDeployment(state: DeploymentState): Mark {
  return DEPLOYMENT[state];
}
