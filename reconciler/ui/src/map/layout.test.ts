/** Layers, circles and relatives. */
import { expect, it } from 'vitest';
import { arrange, type Edge, layersOf, related } from './layout';

const edge = (from: string, to: string): Edge => ({ from, to, kind: 'depends' });

it('puts each after everything it depends on', () => {
  const edges = [edge('web', 'db'), edge('metrics', 'web'), edge('metrics', 'db')];
  expect(Object.fromEntries(layersOf(['db', 'metrics', 'web'], edges))).toEqual({
    db: 0,
    web: 1,
    metrics: 2,
  });
});

it('ends on a circle', () => {
  const layers = layersOf(['a', 'b'], [edge('a', 'b'), edge('b', 'a')]);
  expect(layers.size).toBe(2);
});

it('gives two of a layer two rows, and the same picture each time', () => {
  const names = ['db', 'a', 'b', 'c'];
  const edges = [edge('a', 'db'), edge('b', 'db'), edge('c', 'a')];
  const placed = arrange(names, edges);
  const spots = placed.map((one) => `${one.layer}/${one.row}`);
  expect(new Set(spots).size).toBe(names.length);
  expect(arrange(names, edges)).toEqual(placed);
});

it('finds what one depends on and what depends on it, and no cousins', () => {
  const edges = [edge('web', 'db'), edge('api', 'db'), edge('probe', 'web')];
  expect([...related('web', edges)].sort()).toEqual(['db', 'probe', 'web']);
});
