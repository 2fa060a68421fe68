/** Looks at the source now, instead of at the next turn. */
import { useMutation } from '@tanstack/react-query';
import { send } from '../api/client';
import { asApiError } from '../api/problem';
import { Act } from '../look/act';
import { tell } from '../look/toast';

export function SyncButton() {
  const sync = useMutation({
    mutationFn: () => send('POST', '/sync'),
    onSuccess: () => tell('The source is looked at now.'),
    onError: (error) => tell(asApiError(error).message),
  });
  return (
    <Act needs="editor" onAct={() => sync.mutate()} busy={sync.isPending}>
      Sync now
    </Act>
  );
}
