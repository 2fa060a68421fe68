/** What an admin does to a node at once: let nothing new come to it, let it come again, remove it. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import type { Node, NodeRow } from '../api/documents';
import { asApiError } from '../api/problem';
import { Act } from '../look/act';
import { tell } from '../look/toast';
import { cordon, removeNode } from './data';

const Confirm = lazy(() => import('../look/dialog').then((it) => ({ default: it.Confirm })));

export function CordonButton({ node, small = false }: { node: NodeRow | Node; small?: boolean }) {
  const queries = useQueryClient();
  const change = useMutation({
    mutationFn: () => cordon(node),
    onSuccess: () => {
      tell(
        node.cordoned
          ? `${node.name} takes instances again.`
          : `Nothing new comes to ${node.name}.`,
      );
      void queries.invalidateQueries({ queryKey: ['nodes'] });
      void queries.invalidateQueries({ queryKey: ['status'] });
    },
    onError: (error) => tell(asApiError(error).message),
  });
  return (
    <Act
      needs="admin"
      look={small ? 'button-small' : ''}
      busy={change.isPending}
      onAct={() => change.mutate()}
    >
      {node.cordoned ? 'Uncordon' : 'Cordon'}
    </Act>
  );
}

export function RemoveButton({ node, cluster }: { node: Node; cluster: string }) {
  const [asked, ask] = useState(false);
  const navigate = useNavigate();
  const queries = useQueryClient();
  const remove = useMutation({
    mutationFn: (force: boolean) => removeNode(node.name, force),
    onSuccess: () => {
      tell(`${node.name} is removed; its certificate is worth nothing any more.`);
      void queries.invalidateQueries({ queryKey: ['nodes'] });
      void navigate({ to: '/nodes' });
    },
  });
  const inUse = remove.error ? asApiError(remove.error).kind === 'node-in-use' : false;
  return (
    <>
      <Act needs="admin" look="button-bad" onAct={() => ask(true)}>
        Remove…
      </Act>
      {asked ? (
        <Suspense>
          <Confirm
            title={`Remove ${node.name} from ${cluster}`}
            act={inUse ? 'Remove it all the same' : 'Remove'}
            needs="admin"
            typed={node.name}
            bad
            busy={remove.isPending}
            error={remove.error}
            onAct={() => remove.mutate(inUse)}
            onClose={() => {
              remove.reset();
              ask(false);
            }}
          >
            <p>
              Its certificate is refused from now on. What runs there goes on, and nobody looks
              after it. What is declared is placed on other nodes.
            </p>
          </Confirm>
        </Suspense>
      ) : null}
    </>
  );
}
