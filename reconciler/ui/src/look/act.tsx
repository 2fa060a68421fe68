/**
 * A button that does something. Knows why it may not be pressed (a role, a lost connection, something
 * running) and says so; it is never hidden. Refuses to decide what it does.
 */
import { type ReactNode, useId } from 'react';
import type { Role } from '../api/documents';
import { useLive } from '../api/live';
import { roleAtLeast, useRole } from '../api/session';
import { tell } from './toast';

/** Why it may not be done now; `undefined` when it may. */
export function useReason(needs: Role | undefined, because?: string): string | undefined {
  const role = useRole();
  const live = useLive();
  if (needs && role && !roleAtLeast(role, needs)) return `needs the role ${needs}`;
  if (live.state === 'offline') return 'not connected to the control plane';
  return because;
}

export function Act({
  children,
  onAct,
  needs,
  because,
  look = '',
  label,
  pressed,
  busy = false,
  submit = false,
}: {
  children: ReactNode;
  onAct?: () => void;
  needs?: Role;
  /** Another reason why not. */
  because?: string | undefined;
  look?: string;
  label?: string;
  pressed?: boolean;
  busy?: boolean;
  submit?: boolean;
}) {
  const id = useId();
  const reason = useReason(needs, because) ?? (busy ? 'is being done' : undefined);
  return (
    <>
      <button
        type={submit ? 'submit' : 'button'}
        className={`button ${look}`}
        aria-disabled={reason ? true : undefined}
        aria-describedby={reason ? id : undefined}
        aria-label={label}
        aria-pressed={pressed}
        title={reason}
        onClick={(event) => {
          if (reason) {
            event.preventDefault();
            tell(`Not now: ${reason}.`);
          } else {
            onAct?.();
          }
        }}
      >
        {children}
      </button>
      {reason ? (
        <span id={id} className="sr-only">
          {reason}
        </span>
      ) : null}
    </>
  );
}
