/** What a node has and how much of it is given away, as bars. Unknown room is drawn as unknown. */
import type { NodeRow } from '../api/documents';
import { cores, megabytes } from '../look/amount';
import { Meter, UnknownMeter } from '../look/meter';

const BARS = [
  ['cpu', 'cpu_milli', cores],
  ['memory', 'memory_mb', megabytes],
  ['disk', 'disk_mb', megabytes],
] as const;

export function RoomBar({ node, what }: { node: NodeRow; what: 'cpu' | 'memory' | 'disk' }) {
  const bar = BARS.find(([name]) => name === what);
  const room = bar ? node.room?.[bar[1]] : undefined;
  if (!bar || !room) return <UnknownMeter label={what} />;
  const text = bar[2];
  return (
    <Meter
      label={what}
      whole={room.whole}
      parts={[
        { amount: room.placed, name: 'placed', kind: 'placed' },
        { amount: room.reserved, name: 'reserved', kind: 'reserved' },
      ]}
      text={`${text(room.placed)}/${text(room.whole)}`}
    />
  );
}

/** All of it in one line. */
export function RoomBars({ node }: { node: NodeRow }) {
  if (!node.room) return <span className="text-muted">unknown</span>;
  return (
    <div className="grid grid-cols-3 gap-3">
      <RoomBar node={node} what="cpu" />
      <RoomBar node={node} what="memory" />
      <RoomBar node={node} what="disk" />
    </div>
  );
}

export function GpuBars({ node }: { node: NodeRow }) {
  return (node.gpus ?? []).map((gpu, index) => (
    <Meter
      key={gpu.id}
      label={`gpu${index} ${gpu.model}`}
      whole={gpu.mem_mb}
      parts={[{ amount: gpu.placed_mb, name: 'placed', kind: 'placed' }]}
      text={
        gpu.share_milli > 0
          ? `${gpu.share_milli / 10}% of the device`
          : `${megabytes(gpu.placed_mb)}/${megabytes(gpu.mem_mb)}`
      }
    />
  ));
}
