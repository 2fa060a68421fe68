/** The pages that the navigation leads to, their keys, and who they are for. */
import type { Role } from '../api/documents';

export interface Place {
  to: string;
  name: string;
  /** After `g`. */
  key?: string;
  icon: string;
  needs?: Role;
}

export interface PlaceGroup {
  name: string;
  places: Place[];
}

export const GROUPS: PlaceGroup[] = [
  {
    name: 'Cluster',
    places: [
      { to: '/', name: 'Overview', key: 'o', icon: 'M3 10.5 10 4l7 6.5M5 9v7h10V9' },
      {
        to: '/nodes',
        name: 'Nodes',
        key: 'n',
        icon: 'M3 4h14v5H3zM3 11h14v5H3zM6 6.500h.1M6 13.500h.1',
      },
      {
        to: '/services',
        name: 'Services',
        key: 's',
        icon: 'M10 2.5 16.5 6v8L10 17.5 3.5 14V6zM3.5 6 10 9.5 16.5 6M10 9.500v8',
      },
      {
        to: '/map',
        name: 'Map',
        key: 'm',
        icon: 'M4 4h4v4H4zM12 4h4v4h-4zM8 12h4v4H8zM6 8v2h8V8M10 10v2',
      },
    ],
  },
  {
    name: 'Change',
    places: [
      {
        to: '/catalog',
        name: 'Catalog',
        key: 'c',
        icon: 'M3 3h6v6H3zM11 3h6v6h-6zM3 11h6v6H3zM11 14h6M14 11v6',
      },
      { to: '/plans', name: 'Plans', key: 'p', icon: 'M5 3h10v14H5zM8 7h4M8 10h4M8 13h2' },
      { to: '/deployments', name: 'Deployments', key: 'd', icon: 'M3 5h8M3 10h12M3 15h6' },
      { to: '/whatif', name: 'What if', key: 'w', icon: 'M6 3v5l-3 8h14l-3-8V3M5 3h10' },
    ],
  },
  {
    name: 'Look',
    places: [
      {
        to: '/models',
        name: 'Models',
        key: 'l',
        icon: 'M3 6h14v8H3zM6 6V3M10 6V3M14 6V3M6 17v-3M10 17v-3M14 17v-3',
      },
      { to: '/events', name: 'Events', key: 'e', icon: 'M10 3a7 7 0 1 0 .1 0zM10 6v4l3 2' },
    ],
  },
  {
    name: 'Manage',
    places: [
      { to: '/secrets', name: 'Secrets', icon: 'M5 9h10v7H5zM7 9V6.500a3 3 0 0 1 6 0V9' },
      { to: '/access', name: 'Access', icon: 'M10 3a3 3 0 1 0 .1 0zM4 17c0-4 3-6 6-6s6 2 6 6' },
      { to: '/settings', name: 'Settings', icon: 'M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4' },
    ],
  },
];

export const PLACES: Place[] = GROUPS.flatMap((group) => group.places);

/** What a phone's bar has room for; the rest is behind the last. */
export const ON_PHONES = ['/', '/nodes', '/services', '/plans'];
