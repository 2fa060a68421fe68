/** Components of the catalog in use, and what a form made of one says. */
import { queryOptions } from '@tanstack/react-query';
import { all } from '../api/client';
import type { ComponentSignature, Parameter } from '../api/documents';

export const catalogQuery = queryOptions({
  queryKey: ['templates'],
  queryFn: ({ signal }) => all<ComponentSignature>('/templates', signal),
});

export interface PlaceLine {
  verb: 'require' | 'prefer' | 'forbid';
  key: 'tag' | 'zone' | 'node';
  value: string;
}

/** What somebody wants of a component. Empty texts mean: as the component has it. */
export interface ServiceForm {
  name: string;
  component: string;
  version: string;
  set: Record<string, string>;
  secrets: Record<string, string>;
  replicas: string;
  priority: string;
  resources: { cpu: string; memory: string; disk: string; gpu: string };
  place: PlaceLine[];
}

export function emptyForm(component: ComponentSignature): ServiceForm {
  return {
    name: component.name,
    component: component.name,
    version: component.versions[0] ?? '',
    set: {},
    secrets: {},
    replicas: '',
    priority: '',
    resources: { cpu: '', memory: '', disk: '', gpu: '' },
    place: [],
  };
}

/** What is wrong with one value before anything is asked; the server has the last word. */
export function faultOf(parameter: Parameter, value: string): string | undefined {
  if (value === '') return parameter.required && !parameter.default ? 'it is required' : undefined;
  const kind = parameter.kind;
  if (kind === 'boolean')
    return value === 'true' || value === 'false' ? undefined : 'true or false';
  if (kind === 'size') {
    return /^\d+(\.\d+)?\s*(B|[KMGT]i?B)$/.test(value) ? undefined : 'a size, like 512MiB';
  }
  if (typeof kind === 'object' && 'integer' in kind) {
    const number = Number(value);
    if (!/^-?\d+$/.test(value)) return 'a whole number';
    const { min, max } = kind.integer;
    return number < min || number > max ? `between ${min} and ${max}` : undefined;
  }
  if (typeof kind === 'object' && 'choice' in kind) {
    return kind.choice.includes(value) ? undefined : `one of ${kind.choice.join(', ')}`;
  }
  return undefined;
}

export function faultOfName(name: string): string | undefined {
  if (name === '') return 'it needs a name';
  if (name.length > 63) return 'at most 63 characters';
  return /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name)
    ? undefined
    : 'lower-case letters, digits and hyphens';
}

/** A KDL 2 string. */
export function quoted(text: string): string {
  const written = text
    .replace(/\\/g, '\\\\')
    .replace(/"/g, '\\"')
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\t/g, '\\t');
  return `"${written}"`;
}

/** The block for a cluster file, in the layout of `devnet fmt`. */
export function blockOf(form: ServiceForm): string {
  const lines = [`service ${quoted(form.name)} {`];
  const version = form.version === '' ? '' : ` version=${quoted(form.version)}`;
  lines.push(`    component ${quoted(form.component)}${version}`);
  const set = Object.entries(form.set).filter(([, value]) => value !== '');
  if (set.length > 0)
    lines.push(`    set ${set.map(([key, value]) => `${key}=${quoted(value)}`).join(' ')}`);
  for (const [name, from] of Object.entries(form.secrets)) {
    if (from !== '') lines.push(`    secret ${quoted(name)} from=${quoted(from)}`);
  }
  if (form.replicas !== '') lines.push(`    replicas ${form.replicas}`);
  if (form.priority !== '') lines.push(`    priority ${form.priority}`);
  const { cpu, memory, disk, gpu } = form.resources;
  const resources = [
    cpu === '' ? '' : `cpu=${cpu}`,
    memory === '' ? '' : `memory=${quoted(memory)}`,
    disk === '' ? '' : `disk=${quoted(disk)}`,
    gpu === '' ? '' : `gpu=${gpu}`,
  ].filter((part) => part !== '');
  if (resources.length > 0) lines.push(`    resources ${resources.join(' ')}`);
  if (form.place.length > 0) {
    lines.push('    place {');
    for (const line of form.place)
      lines.push(`        ${line.verb} ${line.key}=${quoted(line.value)}`);
    lines.push('    }');
  }
  lines.push('}');
  return `${lines.join('\n')}\n`;
}
