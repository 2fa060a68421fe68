/**
 * Where services stand when their dependencies are drawn: in layers from left to right, each after
 * everything it depends on, in an order within the layer that keeps lines short. Knows graphs of up to a
 * few hundred; breaks circles by taking them as they come. The same input gives the same picture.
 */

export interface Edge {
  from: string;
  to: string;
  kind: 'depends' | 'near' | 'apart';
}

export interface Placed {
  name: string;
  layer: number;
  row: number;
}

/** The layer of each: one more than the largest of what it depends on. */
export function layersOf(names: string[], edges: Edge[]): Map<string, number> {
  const needs = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const edge of edges) {
    if (edge.kind === 'depends' && needs.has(edge.to)) needs.get(edge.from)?.push(edge.to);
  }
  const layers = new Map<string, number>();
  const open = new Set<string>();
  const layer = (name: string): number => {
    const known = layers.get(name);
    if (known !== undefined) return known;
    // A circle: whoever is asked first stands left.
    if (open.has(name)) return -1;
    open.add(name);
    const mine = 1 + Math.max(-1, ...(needs.get(name) ?? []).map(layer));
    open.delete(name);
    layers.set(name, mine);
    return mine;
  };
  for (const name of names) layer(name);
  return layers;
}

export function arrange(names: string[], edges: Edge[]): Placed[] {
  const layers = layersOf(names, edges);
  const columns: string[][] = [];
  for (const name of [...names].sort()) {
    const at = layers.get(name) ?? 0;
    columns[at] = [...(columns[at] ?? []), name];
  }
  const rows = new Map<string, number>();
  columns.forEach((column) => {
    column?.forEach((name, row) => {
      rows.set(name, row);
    });
  });
  const neighbours = new Map<string, string[]>();
  for (const edge of edges) {
    neighbours.set(edge.from, [...(neighbours.get(edge.from) ?? []), edge.to]);
    neighbours.set(edge.to, [...(neighbours.get(edge.to) ?? []), edge.from]);
  }
  // A few sweeps towards the middle of the neighbours: more change little.
  for (let sweep = 0; sweep < 4; sweep += 1) {
    for (const column of columns) {
      if (!column) continue;
      const middle = (name: string) => {
        const near = (neighbours.get(name) ?? []).map((other) => rows.get(other) ?? 0);
        return near.length === 0
          ? (rows.get(name) ?? 0)
          : near.reduce((a, b) => a + b, 0) / near.length;
      };
      column.sort((a, b) => middle(a) - middle(b) || a.localeCompare(b));
      column.forEach((name, row) => {
        rows.set(name, row);
      });
    }
  }
  return names.map((name) => ({ name, layer: layers.get(name) ?? 0, row: rows.get(name) ?? 0 }));
}

/** Everything that one depends on or that depends on it, however far. */
export function related(name: string, edges: Edge[]): Set<string> {
  const found = new Set([name]);
  const walk = (from: string, next: (edge: Edge) => [string, string]) => {
    for (const edge of edges) {
      const [source, target] = next(edge);
      if (source === from && !found.has(target)) {
        found.add(target);
        walk(target, next);
      }
    }
  };
  walk(name, (edge) => [edge.from, edge.to]);
  const before = new Set(found);
  found.clear();
  found.add(name);
  walk(name, (edge) => [edge.to, edge.from]);
  for (const one of before) found.add(one);
  return found;
}
