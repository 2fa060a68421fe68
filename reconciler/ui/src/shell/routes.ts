/**
 * Every address of the app and the page behind it. Pages are fetched when they are opened; the first
 * three come along, for most visits begin there.
 */
import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from '@tanstack/react-router';
import { LoginPage } from '../login/login-page';
import { textsOf } from '../look/address';
import { NodesPage } from '../nodes/nodes-page';
import { OverviewPage } from '../overview/overview-page';
import { ServicesPage } from '../services/services-page';
import { NoPage, PageFault } from './faults';
import { Shell } from './shell';

const root = createRootRoute({ validateSearch: textsOf, notFoundComponent: NoPage });
const login = createRoute({ getParentRoute: () => root, path: '/login', component: LoginPage });
const inside = createRoute({ getParentRoute: () => root, id: 'inside', component: Shell });

const page = <P extends string>(
  path: P,
  component: Parameters<typeof createRoute>[0]['component'],
) => createRoute({ getParentRoute: () => inside, path, component });

const pages = [
  page('/', OverviewPage),
  page('/nodes', NodesPage),
  page('/services', ServicesPage),
  page(
    '/nodes/add',
    lazyRouteComponent(() => import('../nodes/add-node-page'), 'AddNodePage'),
  ),
  page(
    '/nodes/$node',
    lazyRouteComponent(() => import('../nodes/node-page'), 'NodePage'),
  ),
  page(
    '/services/$service',
    lazyRouteComponent(() => import('../services/service-page'), 'ServicePage'),
  ),
  page(
    '/instances/$instance',
    lazyRouteComponent(() => import('../instances/instance-page'), 'InstancePage'),
  ),
  page(
    '/map',
    lazyRouteComponent(() => import('../map/map-page'), 'MapPage'),
  ),
  page(
    '/catalog',
    lazyRouteComponent(() => import('../catalog/catalog-page'), 'CatalogPage'),
  ),
  page(
    '/catalog/$component',
    lazyRouteComponent(() => import('../catalog/component-page'), 'ComponentPage'),
  ),
  page(
    '/plans',
    lazyRouteComponent(() => import('../plans/plans-page'), 'PlansPage'),
  ),
  page(
    '/plans/$plan',
    lazyRouteComponent(() => import('../plans/plan-page'), 'PlanPage'),
  ),
  page(
    '/deployments',
    lazyRouteComponent(() => import('../deployments/deployments-page'), 'DeploymentsPage'),
  ),
  page(
    '/deployments/$deployment',
    lazyRouteComponent(() => import('../deployments/deployment-page'), 'DeploymentPage'),
  ),
  page(
    '/whatif',
    lazyRouteComponent(() => import('../whatif/whatif-page'), 'WhatIfPage'),
  ),
  page(
    '/models',
    lazyRouteComponent(() => import('../models/models-page'), 'ModelsPage'),
  ),
  page(
    '/events',
    lazyRouteComponent(() => import('../events/events-page'), 'EventsPage'),
  ),
  page(
    '/audit',
    lazyRouteComponent(() => import('../events/audit-page'), 'AuditPage'),
  ),
  page(
    '/secrets',
    lazyRouteComponent(() => import('../secrets/secrets-page'), 'SecretsPage'),
  ),
  page(
    '/access',
    lazyRouteComponent(() => import('../access/access-page'), 'AccessPage'),
  ),
  page(
    '/settings',
    lazyRouteComponent(() => import('../settings/settings-page'), 'SettingsPage'),
  ),
];

export function newRouter(queries: QueryClient) {
  return createRouter({
    routeTree: root.addChildren([login, inside.addChildren(pages)]),
    context: { queries },
    defaultPreload: 'intent',
    defaultNotFoundComponent: NoPage,
    defaultErrorComponent: PageFault,
    scrollRestoration: true,
    parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
    stringifySearch: (search) => {
      const words = new URLSearchParams(
        Object.entries(search).filter(
          (pair): pair is [string, string] => typeof pair[1] === 'string',
        ),
      ).toString();
      return words === '' ? '' : `?${words}`;
    },
  });
}
