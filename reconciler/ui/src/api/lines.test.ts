/** Lines out of chunks that are cut anywhere. */
import { describe, expect, it } from 'vitest';
import { batches, lines } from './lines';

function body(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(control) {
      for (const chunk of chunks) control.enqueue(chunk);
      control.close();
    },
  });
}

const bytes = (text: string) => new TextEncoder().encode(text);

describe('lines', () => {
  it('joins what was cut, also within a character', async () => {
    const all = bytes('{"a":"é"}\n{"a":2}\n');
    const found = [];
    for (let cut = 1; cut < all.length; cut += 1) {
      const read = [];
      for await (const line of lines<{ a: unknown }>(body(all.slice(0, cut), all.slice(cut)))) {
        read.push(line.a);
      }
      found.push(read);
    }
    expect(new Set(found.map((read) => JSON.stringify(read)))).toEqual(new Set(['["é",2]']));
  });

  it('does not hand on a line that was cut off', async () => {
    const read = [];
    for await (const line of lines(body(bytes('{"a":1}\n{"a":')))) read.push(line);
    expect(read).toEqual([{ a: 1 }]);
  });

  it('hands on every line of a chunk at once', async () => {
    const read = [];
    for await (const batch of batches(body(bytes('1\n2\n\n3\n'), bytes('4\n')))) read.push(batch);
    expect(read).toEqual([[1, 2, 3], [4]]);
  });
});
