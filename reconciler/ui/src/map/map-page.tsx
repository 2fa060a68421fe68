/** What depends on what, and where it is: two pictures and a table of the same. */
import { useQuery } from '@tanstack/react-query';
import { useAddress, useAddressSetter } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Choice } from '../look/filter';
import { PageFrame, Tabs } from '../look/page';
import { nodesQuery } from '../nodes/data';
import { servicesQuery } from '../services/data';
import { DependencyMap } from './dependency-map';
import { MapTable } from './map-table';
import { PlacementMap } from './placement-map';

export function MapPage() {
  const services = useQuery(servicesQuery);
  const nodes = useQuery(nodesQuery);
  const address = useAddress();
  const set = useAddressSetter();
  const view = address.tab ?? (address.view === 'dependencies' ? 'dependencies' : 'placement');
  const picked = address.pick;
  const pick = (name: string | undefined) => set({ pick: name === picked ? undefined : name });
  return (
    <PageFrame title="Map">
      <Tabs
        label="Of the map"
        current={view}
        tabs={[
          { id: 'placement', name: 'Placement' },
          { id: 'dependencies', name: 'Dependencies' },
          { id: 'table', name: 'As a table' },
        ]}
      />
      <Answer query={services} rows={8}>
        {(rows) => (
          <Answer query={nodes} rows={8}>
            {(places) => {
              if (places.length === 0 && rows.length === 0)
                return <Empty title="No node and no service yet" />;
              if (view === 'table') return <MapTable services={rows} />;
              if (view === 'dependencies')
                return <DependencyMap services={rows} picked={picked} pick={pick} />;
              return (
                <>
                  <div className="mb-3 flex flex-wrap gap-4">
                    <Choice
                      label="group"
                      value={address.group ?? 'zone'}
                      options={[
                        ['zone', 'zone'],
                        ['tag', 'tag'],
                        ['status', 'status'],
                        ['none', 'nothing'],
                      ]}
                      onChoose={(group) => set({ group })}
                    />
                    <Choice
                      label="only"
                      value={address.only ?? 'all'}
                      options={[
                        ['all', 'everything'],
                        ['unhealthy', 'what is not well'],
                      ]}
                      onChoose={(only) => set({ only: only === 'all' ? undefined : only })}
                    />
                  </div>
                  <PlacementMap
                    services={rows}
                    nodes={places}
                    group={address.group ?? 'zone'}
                    onlyUnwell={address.only === 'unhealthy'}
                    picked={picked}
                    pick={pick}
                  />
                </>
              );
            }}
          </Answer>
        )}
      </Answer>
    </PageFrame>
  );
}
