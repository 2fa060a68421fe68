/** The block that a form stands for, and what is wrong with a value. */
import { expect, it } from 'vitest';
import type { Parameter } from '../api/documents';
import { blockOf, faultOf, faultOfName, quoted, type ServiceForm } from './data';

const FORM: ServiceForm = {
  name: 'db',
  component: 'postgres',
  version: '18.6-trixie',
  set: { 'db-name': 'app', image: '' },
  secrets: { password: 'app-db-password' },
  replicas: '',
  priority: '90',
  resources: { cpu: '2', memory: '1GiB', disk: '20GiB', gpu: '' },
  place: [{ verb: 'require', key: 'tag', value: 'ssd' }],
};

it('writes the block in the layout of the formatter', () => {
  expect(blockOf(FORM)).toBe(`service "db" {
    component "postgres" version="18.6-trixie"
    set db-name="app"
    secret "password" from="app-db-password"
    priority 90
    resources cpu=2 memory="1GiB" disk="20GiB"
    place {
        require tag="ssd"
    }
}
`);
});

it('lets no text end its string', () => {
  expect(quoted('a"b\\c\nd')).toBe('"a\\"b\\\\c\\nd"');
  expect(blockOf({ ...FORM, set: { 'db-name': '"; service "x' } })).toContain(
    'set db-name="\\"; service \\"x"',
  );
});

const parameter = (kind: Parameter['kind'], required = false): Parameter => ({
  kind,
  required,
  default: null,
  description: '',
});

it('knows what each kind takes', () => {
  expect(faultOf(parameter({ integer: { min: 1, max: 9 } }), '10')).toBe('between 1 and 9');
  expect(faultOf(parameter({ integer: { min: 1, max: 9 } }), '9')).toBeUndefined();
  expect(faultOf(parameter({ integer: { min: 1, max: 9 } }), '1.5')).toBe('a whole number');
  expect(faultOf(parameter('size'), '512MiB')).toBeUndefined();
  expect(faultOf(parameter('size'), '512')).toBe('a size, like 512MiB');
  expect(faultOf(parameter({ choice: ['f16', 'q8_0'] }), 'q4')).toBe('one of f16, q8_0');
  expect(faultOf(parameter('text', true), '')).toBe('it is required');
  expect(faultOf(parameter('text'), '')).toBeUndefined();
});

it('knows names', () => {
  expect(faultOfName('db-1')).toBeUndefined();
  for (const bad of ['', 'Db', '-a', 'a-', 'a b', 'a'.repeat(64)])
    expect(faultOfName(bad), bad).toBeTruthy();
});
