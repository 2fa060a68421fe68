/** Text from elsewhere stays text. */
import { expect, it } from 'vitest';
import { instanceSlug, pageAddress, serviceOf, short, visible } from './text';

it('writes out what would act on a screen', () => {
  expect(visible('a\u001b[31mred\u001b[0m')).toBe('a\\u{1b}[31mred\\u{1b}[0m');
  expect(visible('\u001b]0;title\u0007')).toBe('\\u{1b}]0;title\\u{7}');
  expect(visible('abc\u202edef')).toBe('abc\\u{202e}def');
  expect(visible('a\u200bb\ufeffc')).toBe('a\\u{200b}b\\u{feff}c');
});

it('leaves markup, lines and letters of every language alone', () => {
  expect(visible('<script>alert(1)</script>\n\tü 漢 🙂')).toBe(
    '<script>alert(1)</script>\n\tü 漢 🙂',
  );
});

it('makes links of pages only', () => {
  expect(pageAddress('https://example.org/a')).toBe('https://example.org/a');
  expect(pageAddress('javascript:alert(1)')).toBeUndefined();
  expect(pageAddress('data:text/html,x')).toBeUndefined();
  expect(pageAddress(' https://example.org')).toBeUndefined();
});

it('shortens commits and digests, and nothing else', () => {
  expect(short('f942ca03301f95a89fc7d13c7199e1b2ff3be773')).toBe('f942ca0');
  expect(short('blake3:5a13018e0fa7dea4f601b7a9693496037cfb0013e43334dc31f7afdbd5eecce4')).toBe(
    '5a13018',
  );
  expect(short('main')).toBe('main');
});

it('knows both forms of an instance', () => {
  expect(instanceSlug('service.db[12]')).toBe('db-12');
  expect(instanceSlug('web-api[0]')).toBe('web-api-0');
  expect(serviceOf('web-api[0]')).toBe('web-api');
});
