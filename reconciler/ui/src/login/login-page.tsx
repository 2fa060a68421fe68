/** The page of somebody who is not logged in. */
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { useWho } from '../api/session';
import { codeOf, nextOf } from './data';
import { LoginForm } from './login-form';

export function LoginPage() {
  const navigate = useNavigate();
  const who = useWho();
  const [code] = useState(() => codeOf(window.location.hash));
  useEffect(() => {
    document.title = 'Log in · devnet';
    // The code is worth nothing any more, and stays in no history.
    if (window.location.hash !== '') {
      window.history.replaceState(
        window.history.state,
        '',
        window.location.pathname + window.location.search,
      );
    }
  }, []);
  useEffect(() => {
    if (who.state === 'here')
      void navigate({ href: nextOf(window.location.search), replace: true });
  }, [who.state, navigate]);
  return (
    <main className="flex min-h-dvh items-center justify-center p-4">
      <div className="panel w-full max-w-sm p-6 shadow-sm">
        <div className="mb-5 flex items-center gap-2.5">
          <img src="/ui/icon.svg" alt="" width="28" height="28" />
          <h1>devnet</h1>
        </div>
        <LoginForm code={code} onDone={() => undefined} />
      </div>
    </main>
  );
}
