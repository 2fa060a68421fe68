/** One service: its instances, logs, why each is where it is, its unit, its events. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { ServiceResources, ServiceRow } from '../api/documents';
import { EventLines } from '../events/event-lines';
import { UnitView } from '../instances/unit-view';
import { LogView } from '../logs/log-view';
import { useAddress, useAddressSetter, usePathPart } from '../look/address';
import { cores, megabytes } from '../look/amount';
import { Answer, Empty } from '../look/answer';
import { Facts, PageFrame, Panel, Tabs } from '../look/page';
import { StatusMark } from '../look/status';
import { plural, visible } from '../look/text';
import { Age } from '../look/time';
import { markOfService } from '../overview/data';
import { serviceEventsQuery, serviceQuery } from './data';
import { ExplainView } from './explain-view';
import { InstanceRows } from './instance-rows';

export function ServicePage() {
  const name = usePathPart('service');
  const service = useQuery(serviceQuery(name));
  const address = useAddress();
  const tab = address.tab ?? 'instances';
  const data = service.data;
  return (
    <PageFrame
      title={visible(name)}
      crumbs={[{ to: '/services', name: 'Services' }]}
      mark={data ? <StatusMark mark={markOfService(data)} /> : null}
      acts={
        <>
          <Link to="/whatif" search={{ scale: name }} className="button">
            Scale…
          </Link>
          <Link to="/map" search={{ view: 'dependencies', pick: name }} className="button">
            On the map
          </Link>
        </>
      }
    >
      <Answer query={service} rows={6}>
        {(row) => (
          <>
            <Head service={row} />
            <Tabs
              label="Of the service"
              current={tab}
              tabs={[
                { id: 'instances', name: 'Instances', count: row.instances.length },
                { id: 'logs', name: 'Logs' },
                { id: 'explain', name: 'Explain' },
                { id: 'unit', name: 'Unit' },
                { id: 'events', name: 'Events' },
              ]}
            />
            <TabBody tab={tab} service={row} />
          </>
        )}
      </Answer>
    </PageFrame>
  );
}

function TabBody({ tab, service }: { tab: string; service: ServiceRow }): ReactNode {
  switch (tab) {
    case 'logs':
      return <LogView path={`/services/${encodeURIComponent(service.name)}/logs`} many />;
    case 'explain':
      return <ExplainView service={service.name} />;
    case 'unit':
      return <Units service={service} />;
    case 'events':
      return <ServiceEvents name={service.name} />;
    default:
      return <Instances service={service} />;
  }
}

function links(names: string[] | undefined): ReactNode {
  return (names ?? []).map((name, index) => (
    <span key={name}>
      {index > 0 ? ', ' : ''}
      <Link to="/services/$service" params={{ service: name }} className="link">
        {visible(name)}
      </Link>
    </span>
  ));
}

function resourcesOf(needs: ServiceResources): string {
  const parts = [
    needs.cpu_milli ? `cpu ${cores(needs.cpu_milli)}` : '',
    needs.memory_mb ? `memory ${megabytes(needs.memory_mb)}` : '',
    needs.disk_mb ? `disk ${megabytes(needs.disk_mb)}` : '',
    needs.gpus ? plural(needs.gpus, 'GPU') : '',
    needs.gpu_share_milli ? `${needs.gpu_share_milli / 10}% of a GPU` : '',
    needs.gpu_memory_mb ? `${megabytes(needs.gpu_memory_mb)} of a GPU` : '',
  ].filter((part) => part !== '');
  return parts.join(', ') || 'none asked for';
}

function Head({ service }: { service: ServiceRow }) {
  const facts: [string, ReactNode][] = [
    ['healthy', `${service.healthy} of ${service.desired} wanted`],
  ];
  if (service.component)
    facts.push(['component', `${visible(service.component)} ${visible(service.version ?? '')}`]);
  else if (service.form) facts.push(['form', visible(service.form)]);
  if (service.at)
    facts.push([
      'declared',
      <span key="at" className="code">
        {visible(service.at)}
      </span>,
    ]);
  if (service.priority !== undefined && service.priority !== null)
    facts.push(['priority', service.priority]);
  if (service.resources) facts.push(['resources', resourcesOf(service.resources)]);
  if ((service.place ?? []).length > 0)
    facts.push(['place', visible((service.place ?? []).join('; '))]);
  if ((service.depends_on ?? []).length > 0) facts.push(['depends on', links(service.depends_on)]);
  if ((service.near ?? []).length > 0) facts.push(['near', links(service.near)]);
  if ((service.apart_from ?? []).length > 0) facts.push(['apart from', links(service.apart_from)]);
  return (
    <Panel>
      <Facts items={facts} />
      {(service.waiting ?? []).map((one) => (
        <p key={one.instance} className="mt-2 flex flex-wrap items-center gap-x-2">
          <StatusMark mark="waiting" word={visible(one.instance)} />
          <span className="text-muted">
            {visible(one.reason)}
            {one.tries ? `, tried ${one.tries}${one.of ? ` of ${one.of}` : ''} times` : ''}
            {one.next_try ? (
              <>
                , next try at <span className="code">{visible(one.next_try)}</span>
              </>
            ) : null}
          </span>
        </p>
      ))}
    </Panel>
  );
}

function Instances({ service }: { service: ServiceRow }) {
  const address = useAddress();
  const set = useAddressSetter();
  if (service.instances.length === 0) {
    return (
      <Empty title="No instance of it runs">
        <p>
          {plural(service.desired, 'is', 'are')} wanted.{' '}
          <Link to="." search={{ tab: 'explain' }} className="link">
            See what speaks against each node
          </Link>
          .
        </p>
      </Empty>
    );
  }
  return (
    <InstanceRows
      label={`Instances of ${service.name}`}
      rows={service.instances}
      sort={address.sort}
      onSort={(sort) => set({ sort })}
    />
  );
}

function Units({ service }: { service: ServiceRow }) {
  const first = service.instances[0];
  if (!first) return <Empty title="No instance of it runs, so there is no unit to show" />;
  return <UnitView instance={first.id} />;
}

function ServiceEvents({ name }: { name: string }) {
  const events = useQuery(serviceEventsQuery(name));
  return (
    <Answer query={events}>
      {(page) => {
        const mine = page.items.filter((event) => event.subject.startsWith(`service.${name}`));
        if (mine.length === 0) {
          const oldest = page.items[page.items.length - 1];
          return (
            <Empty title="No event about it">
              <p>
                Of the {page.items.length} newest events
                {oldest ? (
                  <>
                    , back to <Age at={oldest.at} suffix=" ago" />
                  </>
                ) : null}
                .
              </p>
            </Empty>
          );
        }
        return (
          <Panel flush>
            <EventLines events={mine} />
          </Panel>
        );
      }}
    </Answer>
  );
}
