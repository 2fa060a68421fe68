/**
 * Newline-delimited JSON, as it arrives. Knows where a line ends and that the last one may be cut
 * off: what is not a whole line is not handed on. Refuses to know what lines mean.
 */

export async function* lines<T>(body: ReadableStream<Uint8Array>): AsyncGenerator<T> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) {
        if (part !== '') yield JSON.parse(part) as T;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The same in batches: every whole line of one chunk at once, for streams that are fast. */
export async function* batches<T>(body: ReadableStream<Uint8Array>): AsyncGenerator<T[]> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split('\n');
      rest = parts.pop() ?? '';
      const batch: T[] = [];
      for (const part of parts) if (part !== '') batch.push(JSON.parse(part) as T);
      if (batch.length > 0) yield batch;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
