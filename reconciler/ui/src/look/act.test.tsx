/** A button says why it may not be pressed. */
import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, expect, it, vi } from 'vitest';
import { begin, leave } from '../api/session';
import { Act } from './act';
import { Toast } from './toast';

afterEach(leave);

const as = (role: 'viewer' | 'planner' | 'editor' | 'admin') =>
  begin({ name: 'ann', role, expires_at: '', csrf: '' });

it('is there for a role that is too low, disabled, with the role that it needs', async () => {
  as('viewer');
  const act = vi.fn();
  render(
    <>
      <Act needs="admin" onAct={act}>
        Cordon
      </Act>
      <Toast />
    </>,
  );
  const button = screen.getByRole('button', { name: 'Cordon' });
  expect(button.getAttribute('aria-disabled')).toBe('true');
  expect(button.getAttribute('title')).toBe('needs the role admin');
  await userEvent.click(button);
  expect(act).not.toHaveBeenCalled();
  expect(screen.getByText('Not now: needs the role admin.')).toBeTruthy();
});

it('acts for that role and a higher one', async () => {
  as('admin');
  const act = vi.fn();
  render(
    <Act needs="editor" onAct={act}>
      Sync now
    </Act>,
  );
  await userEvent.click(screen.getByRole('button', { name: 'Sync now' }));
  expect(act).toHaveBeenCalledOnce();
});
