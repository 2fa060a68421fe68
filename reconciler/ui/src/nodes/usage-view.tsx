/** Measured use over an hour, as small lines. Draws `GET …/usage`; says so where nothing is measured. */
import { useQuery } from '@tanstack/react-query';
import { megabytes } from '../look/amount';
import { Answer, Empty } from '../look/answer';
import { Panel } from '../look/page';
import { type Usage, usageQuery } from './data';

function Spark({
  label,
  values,
  most,
  text,
}: {
  label: string;
  values: number[];
  most: number;
  text: string;
}) {
  const step = values.length > 1 ? 300 / (values.length - 1) : 0;
  const points = values.map(
    (value, index) => `${(index * step).toFixed(1)},${(48 - (value / most) * 44).toFixed(1)}`,
  );
  return (
    <Panel title={label} acts={<span className="text-muted">{text}</span>}>
      <svg
        viewBox="0 0 300 50"
        preserveAspectRatio="none"
        className="h-16 w-full"
        role="img"
        aria-label={`${label}: ${text}`}
      >
        <path d="M0 48.5H300" stroke="var(--line)" />
        <polyline
          points={points.join(' ')}
          fill="none"
          stroke="var(--accent)"
          strokeWidth="1.5"
          vectorEffect="non-scaling-stroke"
        />
      </svg>
    </Panel>
  );
}

export function UsageView({ kind, name }: { kind: 'nodes' | 'instances'; name: string }) {
  const usage = useQuery(usageQuery(kind, name));
  return (
    <Answer query={usage}>
      {(points: Usage[]) => {
        const last = points[points.length - 1];
        if (!last) return <Empty title="Nothing was measured in the last hour" />;
        const most = (of: (one: Usage) => number) => Math.max(1e-9, ...points.map(of));
        return (
          <div className="grid gap-x-3 lg:grid-cols-2">
            <Spark
              label="cpu"
              values={points.map((one) => one.cpu)}
              most={most((one) => one.cpu)}
              text={`${last.cpu.toFixed(2)} cores`}
            />
            <Spark
              label="memory"
              values={points.map((one) => one.memory_mb)}
              most={most((one) => one.memory_mb)}
              text={megabytes(last.memory_mb)}
            />
            {(last.gpus ?? []).map((gpu, index) => (
              <Spark
                key={gpu.id}
                label={`gpu${index}`}
                values={points.map((one) => one.gpus?.[index]?.util ?? 0)}
                most={100}
                text={`${gpu.util}%, ${megabytes(gpu.mem_mb)}`}
              />
            ))}
          </div>
        );
      }}
    </Answer>
  );
}
