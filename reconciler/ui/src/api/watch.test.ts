/** The stream of changes: when it connects, how it waits, what it does with silence and hidden tabs. */
import { describe, expect, it } from 'vitest';
import { ApiError, sessionEnded } from './problem';
import { type Live, SILENCE, Watch } from './watch';

interface Wait {
  ms: number;
  then: () => void;
  cancelled: boolean;
}

/** A world whose clock, chance and connection the test decides. */
function world(random = 1) {
  const waits: Wait[] = [];
  const opened: { push(line: object): void; close(): void; signal: AbortSignal }[] = [];
  const states: Live[] = [];
  const changed: string[][] = [];
  let resumed = 0;
  let ended = 0;
  let refuse: unknown;
  let clock = 1000;
  const watch = new Watch(
    {
      now: () => clock,
      random: () => random,
      wait: (ms, then) => {
        const wait = { ms, then, cancelled: false };
        waits.push(wait);
        return () => {
          wait.cancelled = true;
        };
      },
      open: async (signal) => {
        if (refuse) throw refuse;
        let control: ReadableStreamDefaultController<Uint8Array> | undefined;
        const body = new ReadableStream<Uint8Array>({
          start: (it) => {
            control = it;
          },
        });
        opened.push({
          push: (line) => control?.enqueue(new TextEncoder().encode(`${JSON.stringify(line)}\n`)),
          close: () => control?.close(),
          signal,
        });
        return body;
      },
    },
    {
      changed: (topics) => changed.push(topics),
      resumed: () => {
        resumed += 1;
      },
      state: (live) => states.push(live),
      sessionEnded: () => {
        ended += 1;
      },
    },
  );
  return {
    watch,
    waits,
    opened,
    states,
    changed,
    resumed: () => resumed,
    ended: () => ended,
    refuse: (error: unknown) => {
      refuse = error;
    },
    tick: (ms: number) => {
      clock += ms;
    },
    open: () => waits.filter((wait) => !wait.cancelled),
  };
}

/** Lets every promise that is ready go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

describe('watch', () => {
  it('says what changed and when it is live', async () => {
    const it = world();
    it.watch.start();
    await settle();
    it.opened[0]?.push({ seq: 1, changed: [] });
    it.opened[0]?.push({ seq: 2, changed: ['nodes', 'deployment:01'] });
    it.opened[0]?.push({ beat: 2 });
    await settle();
    expect(it.states).toEqual([{ state: 'live' }]);
    expect(it.changed).toEqual([['nodes', 'deployment:01']]);
    expect(it.resumed()).toBe(1);
  });

  it('waits twice as long after each failure, up to half a minute, and begins anew after success', async () => {
    const it = world(1);
    it.refuse(new Error('away'));
    it.watch.start();
    const told: number[] = [];
    for (let attempt = 0; attempt < 8; attempt += 1) {
      await settle();
      const wait = it.open().at(-1);
      told.push(wait?.ms ?? -1);
      if (attempt === 7) it.refuse(undefined);
      if (wait) wait.cancelled = true;
      wait?.then();
    }
    expect(told).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    await settle();
    it.opened[0]?.close();
    await settle();
    expect(it.open().at(-1)?.ms).toBe(500);
  });

  it('never waits less than half of that, whatever chance says', async () => {
    const it = world(0);
    it.refuse(new Error('away'));
    it.watch.start();
    await settle();
    expect(it.open().map((wait) => wait.ms)).toEqual([250]);
  });

  it('says since when it is offline: when it was last heard of', async () => {
    const it = world();
    it.watch.start();
    await settle();
    it.tick(5000);
    it.opened[0]?.push({ beat: 1 });
    await settle();
    it.tick(7000);
    it.opened[0]?.close();
    await settle();
    expect(it.states.at(-1)).toEqual({ state: 'offline', since: 6000 });
  });

  it('replaces a stream that is silent for two beats', async () => {
    const it = world();
    it.watch.start();
    await settle();
    const silence = it.open().find((wait) => wait.ms === SILENCE);
    silence?.then();
    await settle();
    expect(it.opened).toHaveLength(2);
    expect(it.opened[0]?.signal.aborted).toBe(true);
  });

  it('has no stream while hidden, and a new one at once when seen', async () => {
    const it = world();
    it.watch.start();
    await settle();
    it.watch.setVisible(false);
    await settle();
    expect(it.opened[0]?.signal.aborted).toBe(true);
    expect(it.states.at(-1)).toEqual({ state: 'paused' });
    expect(it.open()).toHaveLength(0);
    it.watch.setVisible(true);
    await settle();
    expect(it.opened).toHaveLength(2);
    expect(it.states.at(-1)).toEqual({ state: 'live' });
  });

  it('asks nothing more once the session has ended, by a line or by an answer', async () => {
    const line = world();
    line.watch.start();
    await settle();
    line.opened[0]?.push({ error: 'session-ended' });
    await settle();
    expect(line.ended()).toBe(1);
    expect(line.open()).toHaveLength(0);
    const answer = world();
    answer.refuse(sessionEnded());
    answer.watch.start();
    await settle();
    expect(answer.states).toEqual([{ state: 'ended' }]);
    expect(answer.open()).toHaveLength(0);
  });

  it('says why it is not ready, and tries again', async () => {
    const it = world();
    const problem = {
      type: 'not-ready',
      title: 'not ready',
      status: 503,
      detail: 'waiting for 2 of 5 agents',
    };
    it.refuse(new ApiError('not-ready', problem));
    it.watch.start();
    await settle();
    expect(it.states).toEqual([{ state: 'not-ready', why: 'waiting for 2 of 5 agents' }]);
    expect(it.open()).toHaveLength(1);
  });
});
