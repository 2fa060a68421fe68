/**
 * The lines of a log in memory: a ring of so many, each with its number. Knows how many were dropped at
 * its old end. Refuses to know screens and streams.
 */
import type { LogEntry } from '../api/documents';

export interface Line {
  number: number;
  instance: string;
  at: string;
  stream: string;
  text: string;
}

export const KEPT = 50_000;

export class LogBuffer {
  private ring: Line[] = [];
  private from = 0;
  private next = 1;
  dropped = 0;
  /** How each instance's log ended, where it did. */
  readonly ends = new Map<string, { reason: string; message: string }>();

  constructor(private readonly kept = KEPT) {}

  get length(): number {
    return this.ring.length - this.from;
  }

  at(index: number): Line | undefined {
    return this.ring[this.from + index];
  }

  add(entries: LogEntry[]): void {
    for (const entry of entries) {
      // Something of the stream itself, and of no instance.
      if (entry.error !== undefined) continue;
      if (entry.end) {
        this.ends.set(entry.instance, entry.end);
        continue;
      }
      this.ring.push({
        number: this.next,
        instance: entry.instance,
        at: entry.at ?? '',
        stream: entry.stream ?? '',
        text: entry.text ?? '',
      });
      this.next += 1;
    }
    const over = this.length - this.kept;
    if (over > 0) {
      this.from += over;
      this.dropped += over;
    }
    // Moved together only now and then: moving all of them with each batch would cost more than reading.
    if (this.from > this.kept) {
      this.ring = this.ring.slice(this.from);
      this.from = 0;
    }
  }

  clear(): void {
    this.ring = [];
    this.from = 0;
    this.dropped = 0;
    this.ends.clear();
  }

  /** Lines that a search shows. */
  matching(test: (line: Line) => boolean): Line[] {
    const found: Line[] = [];
    for (let index = this.from; index < this.ring.length; index += 1) {
      const line = this.ring[index];
      if (line && test(line)) found.push(line);
    }
    return found;
  }
}

const LEVELS = /\b(trace|debug|info|warn(?:ing)?|error|fatal|panic|critical)\b/i;

/** The level that a line names, where it names one near its start. */
export function levelOf(text: string): 'error' | 'warn' | 'other' {
  const word = LEVELS.exec(text.slice(0, 120))?.[1]?.toLowerCase();
  if (word === undefined) return 'other';
  if (word.startsWith('warn')) return 'warn';
  return /error|fatal|panic|critical/.test(word) ? 'error' : 'other';
}
