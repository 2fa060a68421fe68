/**
 * The one stream of a visible tab: it names what changed and carries no data. Knows when to connect,
 * how long to wait before the next try, and that a stream which is silent for two beats is dead.
 * Refuses to read anything by itself: whoever listens does.
 *
 * Time, randomness and the connection are arguments, so that tests decide them.
 */
import { lines } from './lines';
import { ApiError } from './problem';

export type Live =
  | { state: 'connecting' }
  | { state: 'live' }
  /** `since` is when it was last heard of. */
  | { state: 'offline'; since: number }
  | { state: 'not-ready'; why: string }
  /** Nobody looks, so nothing is asked. */
  | { state: 'paused' }
  | { state: 'ended' }
  /** This control plane has no such stream. */
  | { state: 'not-available' };

export interface WatchLine {
  seq?: number;
  changed?: string[];
  beat?: number;
  error?: string;
}

export interface World {
  now(): number;
  /** From 0 to 1. */
  random(): number;
  wait(ms: number, then: () => void): () => void;
  open(signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

export interface Ear {
  changed(topics: string[]): void;
  /** Connected (again): everything may have changed. */
  resumed(): void;
  state(live: Live): void;
  sessionEnded(): void;
}

/** A beat comes each 15 s; after two missed ones the stream counts as dead. */
export const SILENCE = 32_000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;

export class Watch {
  private tries = 0;
  private visible = true;
  private stopped = true;
  private lastHeard: number;
  private abort: AbortController | undefined;
  private cancelWait: (() => void) | undefined;
  private cancelSilence: (() => void) | undefined;

  constructor(
    private readonly world: World,
    private readonly ear: Ear,
  ) {
    this.lastHeard = world.now();
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.tries = 0;
    if (this.visible) void this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.drop();
  }

  /** A tab that nobody sees has no stream; one that is seen again gets a new one at once. */
  setVisible(visible: boolean): void {
    if (visible === this.visible) return;
    this.visible = visible;
    if (this.stopped) return;
    this.drop();
    if (visible) {
      this.tries = 0;
      void this.connect();
    } else {
      this.ear.state({ state: 'paused' });
    }
  }

  /** Somebody asks not to wait. */
  retryNow(): void {
    if (this.stopped || !this.visible) return;
    this.drop();
    this.tries = 0;
    void this.connect();
  }

  private drop(): void {
    this.cancelWait?.();
    this.cancelSilence?.();
    this.cancelWait = undefined;
    this.cancelSilence = undefined;
    this.abort?.abort();
    this.abort = undefined;
  }

  private heard(): void {
    this.lastHeard = this.world.now();
    this.cancelSilence?.();
    this.cancelSilence = this.world.wait(SILENCE, () => this.retryNow());
  }

  private async connect(): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    const mine = () => this.abort === abort;
    try {
      const body = await this.world.open(abort.signal);
      if (!mine()) return;
      this.tries = 0;
      this.heard();
      this.ear.state({ state: 'live' });
      this.ear.resumed();
      for await (const line of lines<WatchLine>(body)) {
        if (!mine()) return;
        this.heard();
        if (line.error === 'session-ended') {
          this.stop();
          this.ear.state({ state: 'ended' });
          this.ear.sessionEnded();
          return;
        }
        if (line.changed && line.changed.length > 0) this.ear.changed(line.changed);
      }
      if (mine()) this.later({ state: 'offline', since: this.lastHeard });
    } catch (error) {
      if (!mine()) return;
      this.failed(error);
    }
  }

  private failed(error: unknown): void {
    const failure = error instanceof ApiError ? error.failure : 'unreachable';
    if (failure === 'session-ended') {
      this.stop();
      this.ear.state({ state: 'ended' });
      this.ear.sessionEnded();
    } else if (failure === 'not-available') {
      this.stop();
      this.ear.state({ state: 'not-available' });
    } else if (failure === 'not-ready' && error instanceof ApiError) {
      this.later({ state: 'not-ready', why: error.detail ?? error.message });
    } else {
      this.later({ state: 'offline', since: this.lastHeard });
    }
  }

  private later(state: Live): void {
    this.drop();
    this.ear.state(state);
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.tries);
    this.tries += 1;
    // Half of it is fixed, so that tabs neither come at once nor all together.
    const ms = longest / 2 + (longest / 2) * this.world.random();
    this.cancelWait = this.world.wait(ms, () => void this.connect());
  }
}
