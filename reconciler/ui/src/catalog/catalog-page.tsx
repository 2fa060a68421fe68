/** The components that there are. Draws `GET /templates`. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ComponentSignature } from '../api/documents';
import { useAddress } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Filter, matches } from '../look/filter';
import { Facts, PageFrame } from '../look/page';
import { visible } from '../look/text';
import { catalogQuery } from './data';

function leastOf(component: ComponentSignature): string {
  const { cpu, memory, disk, gpu } = component.resources;
  const parts = [`cpu ${cpu}`, memory];
  if (disk !== '0B') parts.push(`${disk} disk`);
  if (gpu !== 'none') parts.push(`gpu ${gpu}`);
  return parts.join(', ');
}

export function CatalogPage() {
  const catalog = useQuery(catalogQuery);
  const words = useAddress().q ?? '';
  return (
    <PageFrame title="Catalog">
      <Answer query={catalog} rows={6}>
        {(components) => {
          const shown = components.filter((one) =>
            matches(words, [one.name, one.description, ...one.runtimes]),
          );
          if (components.length === 0) return <Empty title="The catalog is empty" />;
          return (
            <>
              <div className="mb-3">
                <Filter
                  value={words}
                  label="Filter components"
                  shown={shown.length}
                  of={components.length}
                />
              </div>
              {shown.length === 0 ? <Empty title={`No component matches “${words}”`} /> : null}
              <div className="grid gap-3 sm:grid-cols-2 xl:grid-cols-3">
                {shown.map((component) => (
                  <article
                    key={component.name}
                    className="panel flex flex-col p-3"
                    data-row={component.name}
                  >
                    <div className="mb-1 flex items-baseline justify-between gap-2">
                      <h2>
                        <Link
                          to="/catalog/$component"
                          params={{ component: component.name }}
                          className="link"
                        >
                          {visible(component.name)}
                        </Link>
                      </h2>
                      <span className="text-muted">{visible(component.versions[0] ?? '')}</span>
                    </div>
                    <p className="mb-3 flex-1">{visible(component.description)}</p>
                    <Facts
                      items={[
                        ['runs as', component.runtimes.join(', ')],
                        [
                          'listens on',
                          component.ports
                            .map((port) => `${port.container}/${port.protocol}`)
                            .join(', ') || 'nothing',
                        ],
                        [
                          'keeps',
                          component.volumes.map((volume) => volume.name).join(', ') || 'nothing',
                        ],
                        ['at least', leastOf(component)],
                      ]}
                    />
                    <Link
                      to="/catalog/$component"
                      params={{ component: component.name }}
                      className="button mt-3 self-start"
                    >
                      Install…<span className="sr-only"> {component.name}</span>
                    </Link>
                  </article>
                ))}
              </div>
            </>
          );
        }}
      </Answer>
    </PageFrame>
  );
}
