/**
 * A question over the page. Knows how the focus stays inside and Esc leads out (React Aria), and the
 * form of a confirmation: what happens, where, and a name to type before something is destroyed.
 */
import { type ReactNode, useState } from 'react';
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import type { Role } from '../api/documents';
import { Act } from './act';
import { ProblemView } from './problem-view';

export function Overlay({
  title,
  children,
  onClose,
  wide = false,
}: {
  title: string;
  children: ReactNode;
  onClose: () => void;
  wide?: boolean;
}) {
  return (
    <ModalOverlay
      isOpen
      isDismissable
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      className="fixed inset-0 z-40 flex items-end justify-center bg-black/50 sm:items-center sm:p-6"
    >
      <Modal
        className={`max-h-[92dvh] w-full overflow-auto rounded-t-xl border border-line bg-raised shadow-2xl sm:rounded-xl ${wide ? 'max-w-3xl' : 'max-w-lg'}`}
      >
        <Dialog className="p-4 outline-none">
          <Heading slot="title" className="mb-2 text-base font-semibold">
            {title}
          </Heading>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

export function Confirm({
  title,
  children,
  act,
  needs,
  typed,
  error,
  busy,
  bad = false,
  onAct,
  onClose,
}: {
  title: string;
  children: ReactNode;
  /** The word on the button. */
  act: string;
  needs: Role;
  /** What has to be typed first. */
  typed?: string;
  error?: unknown;
  busy?: boolean;
  bad?: boolean;
  onAct: () => void;
  onClose: () => void;
}) {
  const [text, setText] = useState('');
  const missing = typed !== undefined && text !== typed;
  return (
    <Overlay title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!missing) onAct();
        }}
      >
        <div className="space-y-2">{children}</div>
        {typed === undefined ? null : (
          <label className="mt-3 block">
            <span className="label">
              Type <span className="code">{typed}</span> to go on
            </span>
            <input
              className="field"
              value={text}
              autoComplete="off"
              onChange={(event) => setText(event.target.value)}
            />
          </label>
        )}
        {error ? (
          <div className="mt-3">
            <ProblemView error={error} />
          </div>
        ) : null}
        <div className="mt-4 flex justify-end gap-2">
          <button type="button" className="button" onClick={onClose}>
            Leave it
          </button>
          <Act
            submit
            needs={needs}
            busy={busy ?? false}
            because={missing ? `type ${typed} first` : undefined}
            look={bad ? 'button-bad' : 'button-main'}
          >
            {act}
          </Act>
        </div>
      </form>
    </Overlay>
  );
}
