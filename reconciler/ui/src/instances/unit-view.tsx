/** The unit of an instance: rendered Compose where the control plane gives it, else its fields. */

import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import type { InstanceSpec } from '../api/documents';
import { asApiError } from '../api/problem';
import { Answer, Empty } from '../look/answer';
import { Code } from '../look/code';
import { CopyButton } from '../look/copy';
import { Facts, Panel } from '../look/page';
import { visible } from '../look/text';
import { composeQuery, instanceQuery, told, workloadOf } from './data';

export function UnitView({ instance }: { instance: string }) {
  const compose = useQuery(composeQuery(instance));
  const observed = useQuery(instanceQuery(instance));
  const absent = compose.error && asApiError(compose.error).failure === 'not-available';
  return (
    <>
      {absent ? null : (
        <Panel
          title="Rendered Compose, secrets as references"
          acts={compose.data ? <CopyButton text={compose.data.compose} what="the unit" /> : null}
        >
          <Answer query={compose}>
            {(unit) => <Code text={unit.compose} label="Rendered Compose" />}
          </Answer>
        </Panel>
      )}
      <Answer query={observed}>
        {(data) =>
          data.spec ? (
            <Panel title={`The unit of ${data.spec.id}`}>
              <SpecFacts spec={data.spec} />
            </Panel>
          ) : (
            <Empty title="What its unit is made of is not known">
              <p>The node has not described it since the control plane started.</p>
            </Empty>
          )
        }
      </Answer>
    </>
  );
}

export function SpecFacts({ spec }: { spec: InstanceSpec }) {
  const items: [string, ReactNode][] = [
    [
      'runs',
      <span key="runs" className="code whitespace-pre-wrap">
        {visible(workloadOf(spec))}
      </span>,
    ],
  ];
  for (const port of spec.ports ?? []) {
    items.push([
      `port ${port.name}`,
      `${port.bind}:${port.host} → ${port.container}/${port.protocol}`,
    ]);
  }
  for (const volume of spec.volumes ?? [])
    items.push([`volume ${volume.name}`, visible(volume.path)]);
  if (spec.limits) {
    const none = spec.limits.cpu === '0' && spec.limits.memory === '0B';
    items.push(['limits', none ? 'none' : `cpu ${spec.limits.cpu}, memory ${spec.limits.memory}`]);
  }
  for (const [name, value] of Object.entries(spec.env ?? {})) {
    items.push([
      name,
      <span key={name} className="code whitespace-pre-wrap">
        {visible(told(value))}
      </span>,
    ]);
  }
  for (const [name, file] of Object.entries(spec.files ?? {})) {
    items.push([
      `file ${name}`,
      <Code key={name} text={told(file.content)} label={`File ${name}`} />,
    ]);
  }
  return <Facts items={items} />;
}
