/** One instance: whether it runs and serves, its log, its use, its unit. Draws `GET /instances/ID`. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { ObservedInstance } from '../api/documents';
import { LogView } from '../logs/log-view';
import { useAddress, usePathPart } from '../look/address';
import { Answer } from '../look/answer';
import { Facts, PageFrame, Panel, Tabs } from '../look/page';
import { markOfInstance, StatusMark } from '../look/status';
import { instanceSlug, short, visible } from '../look/text';
import { UsageView } from '../nodes/usage-view';
import { instanceQuery } from './data';
import { UnitView } from './unit-view';

export function InstancePage() {
  const slug = usePathPart('instance');
  const id = slug.replace(/-(\d+)$/, '[$1]');
  const instance = useQuery(instanceQuery(id));
  const address = useAddress();
  const tab = address.tab ?? 'logs';
  const service = id.replace(/\[\d+\]$/, '');
  return (
    <PageFrame
      title={visible(id)}
      crumbs={[
        { to: '/services', name: 'Services' },
        { to: `/services/${encodeURIComponent(service)}`, name: visible(service) },
      ]}
      mark={instance.data ? <StatusMark mark={markOfInstance(instance.data)} /> : null}
    >
      <Answer query={instance} rows={6}>
        {(data) => (
          <>
            <Head instance={data} />
            <Tabs
              label="Of the instance"
              current={tab}
              tabs={[
                { id: 'logs', name: 'Log' },
                { id: 'use', name: 'Use' },
                { id: 'unit', name: 'Unit' },
                { id: 'exec', name: 'Exec' },
              ]}
            />
            <TabBody tab={tab} id={id} />
          </>
        )}
      </Answer>
    </PageFrame>
  );
}

function TabBody({ tab, id }: { tab: string; id: string }): ReactNode {
  switch (tab) {
    case 'use':
      return <UsageView kind="instances" name={instanceSlug(id)} />;
    case 'unit':
      return <UnitView instance={id} />;
    case 'exec':
      return (
        <Panel title="A command inside it">
          <p className="text-muted">
            This control plane and its agents do not run commands inside an instance yet. Its log
            and its unit are beside this tab.
          </p>
        </Panel>
      );
    default:
      return (
        <LogView path={`/instances/${encodeURIComponent(instanceSlug(id))}/logs`} many={false} />
      );
  }
}

function Head({ instance }: { instance: ObservedInstance }) {
  const facts: [string, ReactNode][] = [
    [
      'node',
      <Link key="node" to="/nodes/$node" params={{ node: instance.node }} className="link">
        {visible(instance.node)}
      </Link>,
    ],
    ['state', `${instance.state}, ${instance.health}`],
    ['restarts', instance.restarts],
    ['runtime', instance.runtime ?? 'unknown'],
    ['generation', instance.generation],
    [
      'digest',
      <span key="digest" className="code">
        {short(instance.digest)}
      </span>,
    ],
  ];
  const port = instance.spec?.ports?.[0];
  if (port)
    facts.push([
      'address',
      <span key="address" className="code">{`${port.bind}:${port.host}`}</span>,
    ]);
  if (instance.message) facts.push(['said', visible(instance.message)]);
  return (
    <Panel>
      <div className="grid gap-x-8 lg:grid-cols-2">
        <Facts items={facts.slice(0, 4)} />
        <Facts items={facts.slice(4)} />
      </div>
    </Panel>
  );
}
