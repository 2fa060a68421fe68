// Writes a brotli and a gzip form beside every built file but the page itself, whose nonce differs
// with each answer. Uses Node's own zlib, so that no plugin is needed.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url).pathname;
const worthwhile = /\.(js|css|svg|json|txt)$/;

for (const folder of ['assets', 'ui']) {
  for (const name of readdirSync(join(dist, folder))) {
    if (!worthwhile.test(name)) continue;
    const path = join(dist, folder, name);
    const whole = readFileSync(path);
    const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
    writeFileSync(`${path}.br`, brotliCompressSync(whole, brotli));
    writeFileSync(`${path}.gz`, gzipSync(whole, { level: 9 }));
  }
}
// The manifest says which file came from where: the size check reads it, and nobody serves what is
// hidden. It stands beside what it describes, so that whoever keeps a build keeps it, too.
const manifest = join(dist, '.vite', 'manifest.json');
writeFileSync(join(dist, '.manifest.json'), readFileSync(manifest));
rmSync(join(dist, '.vite'), { recursive: true });
