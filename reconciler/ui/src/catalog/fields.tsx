/** One field for each kind of parameter, with what is wrong beside it. */
import { type ReactNode, useId } from 'react';
import type { Parameter } from '../api/documents';
import { visible } from '../look/text';

export function Field({
  name,
  hint,
  fault,
  required = false,
  children,
}: {
  name: string;
  hint?: string | undefined;
  fault?: string | undefined;
  required?: boolean;
  children: (ids: { id: string; describedBy: string | undefined; invalid: boolean }) => ReactNode;
}) {
  const id = useId();
  const told = [hint ? `${id}-hint` : '', fault ? `${id}-fault` : ''].filter(Boolean).join(' ');
  return (
    <div className="min-w-0">
      <label className="label" htmlFor={id}>
        {name}
        {required ? <span className="font-normal text-muted"> (required)</span> : null}
      </label>
      {children({ id, describedBy: told || undefined, invalid: fault !== undefined })}
      {fault ? (
        <p id={`${id}-fault`} className="mt-0.5 text-bad" data-fault={name}>
          {visible(fault)}
        </p>
      ) : null}
      {hint ? (
        <p id={`${id}-hint`} className="mt-0.5 text-xs text-muted">
          {visible(hint)}
        </p>
      ) : null}
    </div>
  );
}

export function TextField({
  name,
  value,
  onChange,
  hint,
  fault,
  placeholder,
  required = false,
}: {
  name: string;
  value: string;
  onChange: (value: string) => void;
  hint?: string | undefined;
  fault?: string | undefined;
  placeholder?: string | undefined;
  required?: boolean;
}) {
  return (
    <Field name={name} hint={hint} fault={fault} required={required}>
      {({ id, describedBy, invalid }) => (
        <input
          id={id}
          className="field"
          value={value}
          placeholder={placeholder}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

export function SelectField({
  name,
  value,
  onChange,
  options,
  hint,
  fault,
  required = false,
}: {
  name: string;
  value: string;
  onChange: (value: string) => void;
  options: [string, string][];
  hint?: string | undefined;
  fault?: string | undefined;
  required?: boolean;
}) {
  return (
    <Field name={name} hint={hint} fault={fault} required={required}>
      {({ id, describedBy, invalid }) => (
        <select
          id={id}
          className="field"
          value={value}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          onChange={(event) => onChange(event.target.value)}
        >
          {options.map(([option, text]) => (
            <option key={option} value={option}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function ParameterField({
  name,
  parameter,
  value,
  fault,
  onChange,
}: {
  name: string;
  parameter: Parameter;
  value: string;
  fault: string | undefined;
  onChange: (value: string) => void;
}) {
  const { kind } = parameter;
  const usual = parameter.default ?? '';
  const common = {
    name,
    value,
    onChange,
    fault,
    hint: parameter.description,
    required: parameter.required,
  };
  const unset: [string, string] = ['', usual === '' ? 'not set' : `as usual (${usual})`];
  if (kind === 'boolean') {
    return <SelectField {...common} options={[unset, ['true', 'true'], ['false', 'false']]} />;
  }
  if (typeof kind === 'object' && 'choice' in kind) {
    return (
      <SelectField
        {...common}
        options={[unset, ...kind.choice.map((one): [string, string] => [one, one])]}
      />
    );
  }
  const range = typeof kind === 'object' ? `${kind.integer.min} to ${kind.integer.max}` : '';
  return (
    <TextField {...common} placeholder={usual || range || (kind === 'size' ? '512MiB' : '')} />
  );
}
