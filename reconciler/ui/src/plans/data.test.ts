/** Before and after, from the placement and the changes that lead to it. */
import { expect, it } from 'vitest';
import type { Change, Plan } from '../api/documents';
import { placementByNode } from './data';

const change = (
  instance: string,
  action: Change['action'],
  node: string,
  from?: string,
): Change => ({
  instance,
  action,
  node,
  reason: '',
  ...(from ? { from } : {}),
});

function plan(changes: Change[], assignments: [string, string][]): Plan {
  return {
    changes,
    placement: {
      assignments: assignments.map(([instance, node]) => ({ instance, node, reason: '' })),
    },
  } as unknown as Plan;
}

it('shows a move on both nodes, and what stays on neither side as changed', () => {
  const shares = placementByNode(
    plan(
      [
        change('web[1]', 'move', 'nuc1', 'vega'),
        change('api[1]', 'create', 'atlas'),
        change('old[0]', 'delete', 'vega'),
      ],
      [
        ['db[0]', 'atlas'],
        ['api[1]', 'atlas'],
        ['web[1]', 'nuc1'],
        ['llm[0]', 'vega'],
      ],
    ),
  );
  expect(shares).toEqual([
    { node: 'atlas', before: ['db[0]'], after: ['api[1]', 'db[0]'] },
    { node: 'nuc1', before: [], after: ['web[1]'] },
    { node: 'vega', before: ['llm[0]', 'old[0]', 'web[1]'], after: ['llm[0]'] },
  ]);
});
