// What a browser has to fetch, against what it may: the first page's scripts and styles, each page
// that is fetched when it is opened, and everything that the binary carries. Exits 1 above a limit.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const KB = 1024;
const LIMITS = { script: 200 * KB, style: 15 * KB, page: 110 * KB, all: 1536 * KB };

const dist = new URL('../dist/', import.meta.url).pathname;
const manifestPath = join(dist, '.manifest.json');
if (!existsSync(manifestPath)) {
  console.error('There is no build to measure. Run `npm run build` first.');
  process.exit(1);
}
const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'));
const size = (file) => gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;

/** Every script that a chunk needs before it runs. */
function closure(key, into = new Set()) {
  if (into.has(key)) return into;
  into.add(key);
  for (const next of manifest[key]?.imports ?? []) closure(next, into);
  return into;
}

const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const first = closure(entry);
const scripts = [...first].map((key) => manifest[key].file);
const styles = new Set([...first].flatMap((key) => manifest[key].css ?? []));
const sum = (files) => [...files].reduce((total, file) => total + size(file), 0);

let failed = false;
function report(name, bytes, limit) {
  const over = bytes > limit;
  failed ||= over;
  const line = `${name.padEnd(44)} ${(bytes / KB).toFixed(1).padStart(7)} KB of ${(limit / KB).toFixed(0)}`;
  console.log(over ? `${line}  TOO LARGE` : line);
}
report('first page, scripts (gzip)', sum(scripts), LIMITS.script);
report('first page, styles (gzip)', sum(styles), LIMITS.style);
for (const key of Object.keys(manifest).filter((key) => manifest[key].isDynamicEntry)) {
  const own = [...closure(key)]
    .filter((part) => !first.has(part))
    .map((part) => manifest[part].file);
  report(`page ${manifest[key].name ?? key} (gzip)`, sum(own), LIMITS.page);
}
let all = 0;
for (const folder of ['.', 'assets', 'ui']) {
  for (const name of readdirSync(join(dist, folder))) {
    const path = join(dist, folder, name);
    if (name.startsWith('.') || statSync(path).isDirectory() || /\.(br|gz)$/.test(name)) continue;
    all += existsSync(`${path}.br`)
      ? statSync(`${path}.br`).size
      : brotliCompressSync(readFileSync(path)).length;
  }
}
report('everything (brotli)', all, LIMITS.all);
process.exit(failed ? 1 : 0);
