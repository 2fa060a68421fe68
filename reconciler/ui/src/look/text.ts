/**
 * Text from elsewhere: names, messages, logs, commits. Knows which characters would act on a screen
 * instead of standing on it, and writes those out. Refuses to make markup or links of text.
 */

// Control characters, bidirectional marks, zero-width characters and separators.
const ACTING =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function visible(text: string): string {
  return text.replace(ACTING, (found) => `\\u{${found.charCodeAt(0).toString(16)}}`);
}

/** Only what a browser opens as a page may be a link. */
export function pageAddress(text: string): string | undefined {
  return /^https?:\/\/[^\s]+$/.test(text) ? text : undefined;
}

/** The first characters of a commit or a digest, as people say them. */
export function short(id: string): string {
  const bare = id.replace(/^blake3:/, '');
  return /^[0-9a-f]{12,}$/.test(bare) ? bare.slice(0, 7) : bare;
}

/** `0199c…` of a deployment: ids that begin alike differ at their end. */
export function shortRun(id: string): string {
  return id.length > 12 ? id.slice(-8) : id;
}

/** `db[0]` as it stands in an address: `db-0`. */
export function instanceSlug(id: string): string {
  return id.replace(/^service\./, '').replace(/\[(\d+)\]$/, '-$1');
}

export function serviceOf(instance: string): string {
  return instance.replace(/^service\./, '').replace(/\[\d+\]$/, '');
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** What an event is about: a commit and the id of a run in short, everything else as it is. */
export function shortSubject(subject: string): string {
  if (/^[0-9a-f]{40}$/.test(subject) || subject.startsWith('blake3:')) return short(subject);
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(subject) ? shortRun(subject) : subject;
}
