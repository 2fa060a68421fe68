/** The login over a page whose session has ended: the page behind keeps everything. */
import { useQueryClient } from '@tanstack/react-query';
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import type { Session } from '../api/documents';
import { leave } from '../api/session';
import { LoginForm } from '../login/login-form';

export function LoginAgain({ session }: { session: Session }) {
  const queries = useQueryClient();
  return (
    <ModalOverlay
      isOpen
      className="fixed inset-0 z-50 flex items-center justify-center bg-black/60 p-4"
    >
      <Modal className="w-full max-w-sm rounded-xl border border-line bg-raised p-5 shadow-2xl">
        <Dialog className="outline-none" data-login-again>
          <Heading slot="title" className="mb-3 text-base font-semibold">
            Log in again
          </Heading>
          <LoginForm again={session.name} onDone={() => void queries.invalidateQueries()} />
          <button
            type="button"
            className="button button-plain mt-2 w-full"
            onClick={() => {
              queries.clear();
              leave();
            }}
          >
            Leave the page
          </button>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
