/**
 * A component and the form that makes a service of it. The form is made from the signature; beside it
 * stand the block for the cluster file and, where the control plane keeps drafts, its diagnostics and
 * its plan. Knows that what was typed survives a refresh; secrets are only ever names.
 */

import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import type { ComponentSignature } from '../api/documents';
import { DraftView } from '../drafts/draft-view';
import { usePathPart } from '../look/address';
import { Answer, Empty } from '../look/answer';
import { Code } from '../look/code';
import { CopyButton } from '../look/copy';
import { PageFrame, Panel } from '../look/page';
import { visible } from '../look/text';
import { statusQuery } from '../overview/data';
import { secretsQuery } from '../secrets/data';
import {
  blockOf,
  catalogQuery,
  emptyForm,
  faultOf,
  faultOfName,
  type PlaceLine,
  type ServiceForm,
} from './data';
import { ParameterField, SelectField, TextField } from './fields';

export function ComponentPage() {
  const name = usePathPart('component');
  const catalog = useQuery(catalogQuery);
  return (
    <PageFrame
      title={`New service: ${visible(name)}`}
      crumbs={[{ to: '/catalog', name: 'Catalog' }]}
    >
      <Answer query={catalog} rows={8}>
        {(components) => {
          const component = components.find((one) => one.name === name);
          return component ? (
            <Editor component={component} />
          ) : (
            <Empty title={`The catalog has no component ${name}`} />
          );
        }}
      </Answer>
    </PageFrame>
  );
}

function useKeptForm(component: ComponentSignature): [ServiceForm, (form: ServiceForm) => void] {
  const place = `devnet.form.${component.name}`;
  const [form, setForm] = useState<ServiceForm>(() => {
    try {
      return {
        ...emptyForm(component),
        ...(JSON.parse(sessionStorage.getItem(place) ?? '{}') as object),
      };
    } catch {
      return emptyForm(component);
    }
  });
  useEffect(() => sessionStorage.setItem(place, JSON.stringify(form)), [place, form]);
  return [form, setForm];
}

function Editor({ component }: { component: ComponentSignature }) {
  const [form, setForm] = useKeptForm(component);
  const status = useQuery(statusQuery);
  const change = (part: Partial<ServiceForm>) => setForm({ ...form, ...part });
  const taken = status.data?.services.some((service) => service.name === form.name);
  const nameFault =
    faultOfName(form.name) ?? (taken ? 'a service of this name is declared already' : undefined);
  const faults = useMemo(
    () =>
      Object.fromEntries(
        Object.entries(component.parameters).map(([key, parameter]) => [
          key,
          faultOf(parameter, form.set[key] ?? ''),
        ]),
      ),
    [component, form.set],
  );
  const missing = Object.entries(component.secrets).filter(
    ([key, secret]) => secret.required && !form.secrets[key],
  );
  const sound =
    !nameFault &&
    missing.length === 0 &&
    Object.values(faults).every((fault) => fault === undefined);
  const block = blockOf(form);
  return (
    <div className="grid gap-x-3 lg:grid-cols-2">
      <form aria-label="New service" onSubmit={(event) => event.preventDefault()}>
        <Panel title="The service">
          <div className="grid gap-3 sm:grid-cols-2">
            <TextField
              name="Name"
              value={form.name}
              fault={nameFault}
              required
              onChange={(name) => change({ name })}
            />
            <SelectField
              name="Version"
              value={form.version}
              options={component.versions.map((one): [string, string] => [one, one])}
              onChange={(version) => change({ version })}
            />
            {Object.entries(component.parameters).map(([key, parameter]) => (
              <ParameterField
                key={key}
                name={key}
                parameter={parameter}
                value={form.set[key] ?? ''}
                fault={faults[key]}
                onChange={(value) => change({ set: { ...form.set, [key]: value } })}
              />
            ))}
          </div>
        </Panel>
        <SecretFields component={component} form={form} change={change} />
        <Panel title="Room and place">
          <div className="grid gap-3 sm:grid-cols-3">
            <TextField
              name="Replicas"
              value={form.replicas}
              placeholder="1"
              fault={countFault(form.replicas, component)}
              onChange={(replicas) => change({ replicas })}
            />
            <TextField
              name="Priority"
              value={form.priority}
              placeholder="50"
              hint="0 gives way first, 100 last"
              onChange={(priority) => change({ priority })}
            />
            <TextField
              name="CPU"
              value={form.resources.cpu}
              placeholder={component.resources.cpu}
              onChange={(cpu) => change({ resources: { ...form.resources, cpu } })}
            />
            <TextField
              name="Memory"
              value={form.resources.memory}
              placeholder={component.resources.memory}
              onChange={(memory) => change({ resources: { ...form.resources, memory } })}
            />
            <TextField
              name="Disk"
              value={form.resources.disk}
              placeholder={component.resources.disk}
              onChange={(disk) => change({ resources: { ...form.resources, disk } })}
            />
            <TextField
              name="GPUs"
              value={form.resources.gpu}
              placeholder={component.resources.gpu}
              onChange={(gpu) => change({ resources: { ...form.resources, gpu } })}
            />
          </div>
          <PlaceLines lines={form.place} onChange={(place) => change({ place })} />
        </Panel>
        <button type="button" className="button" onClick={() => setForm(emptyForm(component))}>
          Begin again
        </button>
      </form>
      <div>
        <Panel title="For the cluster file" acts={<CopyButton text={block} what="the block" />}>
          <Code text={block} label="The block" kind="kdl" />
          {sound ? null : <p className="mt-2 text-warn">It is not whole yet: see the form.</p>}
        </Panel>
        <DraftView
          base={status.data?.source?.seen ?? undefined}
          edits={sound ? [{ service: sent(form) }] : undefined}
          message={`Add ${form.name}`}
        />
      </div>
    </div>
  );
}

function countFault(text: string, component: ComponentSignature): string | undefined {
  if (text === '') return undefined;
  if (!/^\d+$/.test(text)) return 'a whole number';
  return Number(text) > 1 && !component.replicable
    ? 'each of its instances is its own: they do not share data'
    : undefined;
}

/** The form without what nobody filled in. */
function sent(form: ServiceForm): Record<string, unknown> {
  const filled = (texts: Record<string, string>) =>
    Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== ''));
  return {
    name: form.name,
    component: form.component,
    ...(form.version === '' ? {} : { version: form.version }),
    set: filled(form.set),
    secrets: filled(form.secrets),
    ...(form.replicas === '' ? {} : { replicas: Number(form.replicas) }),
    ...(form.priority === '' ? {} : { priority: Number(form.priority) }),
    resources: filled(form.resources),
    place: form.place.filter((line) => line.value !== ''),
  };
}

function SecretFields({
  component,
  form,
  change,
}: {
  component: ComponentSignature;
  form: ServiceForm;
  change: (part: Partial<ServiceForm>) => void;
}) {
  const secrets = useQuery(secretsQuery);
  const takes = Object.entries(component.secrets);
  if (takes.length === 0) return null;
  const names = (secrets.data ?? []).map((row): [string, string] => [row.name, row.name]);
  return (
    <Panel title="Secrets, by name">
      <div className="grid gap-3 sm:grid-cols-2">
        {takes.map(([key, secret]) => (
          <SelectField
            key={key}
            name={key}
            value={form.secrets[key] ?? ''}
            required={secret.required}
            hint={secret.description}
            fault={
              secret.required && !form.secrets[key]
                ? 'choose one; they are set under Secrets'
                : undefined
            }
            options={[['', 'none'], ...names]}
            onChange={(value) => change({ secrets: { ...form.secrets, [key]: value } })}
          />
        ))}
      </div>
    </Panel>
  );
}

function PlaceLines({
  lines,
  onChange,
}: {
  lines: PlaceLine[];
  onChange: (lines: PlaceLine[]) => void;
}) {
  const set = (index: number, part: Partial<PlaceLine>) =>
    onChange(lines.map((line, at) => (at === index ? { ...line, ...part } : line)));
  return (
    <fieldset className="mt-4">
      <legend className="label">Place</legend>
      {lines.map((line, index) => (
        <div key={index} className="mb-2 grid grid-cols-[7rem_6rem_1fr_auto] gap-2">
          <select
            className="field"
            aria-label="How strictly"
            value={line.verb}
            onChange={(event) => set(index, { verb: event.target.value as PlaceLine['verb'] })}
          >
            <option>require</option>
            <option>prefer</option>
            <option>forbid</option>
          </select>
          <select
            className="field"
            aria-label="Of what"
            value={line.key}
            onChange={(event) => set(index, { key: event.target.value as PlaceLine['key'] })}
          >
            <option>tag</option>
            <option>zone</option>
            <option>node</option>
          </select>
          <input
            className="field"
            aria-label="Which"
            value={line.value}
            onChange={(event) => set(index, { value: event.target.value })}
          />
          <button
            type="button"
            className="button"
            aria-label="Take this line out"
            onClick={() => onChange(lines.filter((_, at) => at !== index))}
          >
            ×
          </button>
        </div>
      ))}
      <button
        type="button"
        className="button button-small"
        onClick={() => onChange([...lines, { verb: 'require', key: 'tag', value: '' }])}
      >
        Add a line
      </button>
    </fieldset>
  );
}
