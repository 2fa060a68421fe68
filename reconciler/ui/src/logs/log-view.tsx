/**
 * A log that is followed. Knows when to follow (as long as the reader is at the end), search, level,
 * wrap and download; draws at most once a frame and only the lines in view. Refuses to act on what lines
 * hold: they are text.
 */
import { useVirtualizer } from '@tanstack/react-virtual';
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { API, ask } from '../api/client';
import type { LogEntry } from '../api/documents';
import { batches } from '../api/lines';
import { end, useWho } from '../api/session';
import { clock } from '../look/amount';
import { ProblemView } from '../look/problem-view';
import { visible } from '../look/text';
import { type Line, LogBuffer, levelOf } from './buffer';

type Reading = { state: 'reading' } | { state: 'ended' } | { state: 'failed'; error: unknown };

interface Feed {
  buffer: LogBuffer;
  version: number;
  reading: Reading;
}

/** Reads a log into a buffer as long as it is shown, and says once a frame that there is more. */
function useFeed(path: string, tail: string): { feed: Feed; again: () => void } {
  const [turn, setTurn] = useState(0);
  const who = useWho();
  const here = who.state === 'here';
  const store = useMemo(() => {
    const feed: { now: Feed } = {
      now: { buffer: new LogBuffer(), version: 0, reading: { state: 'reading' } },
    };
    const listeners = new Set<() => void>();
    let frame = 0;
    const tell = () => {
      frame = 0;
      feed.now = { ...feed.now, version: feed.now.version + 1 };
      for (const listener of [...listeners]) listener();
    };
    return {
      get: () => feed.now,
      subscribe: (listener: () => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      soon: () => {
        if (frame === 0) frame = requestAnimationFrame(tell);
      },
      set: (reading: Reading) => {
        feed.now = { ...feed.now, reading };
        tell();
      },
    };
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a turn reads it again
  useEffect(() => {
    if (!here) return;
    const abort = new AbortController();
    store.get().buffer.clear();
    store.set({ state: 'reading' });
    const read = async () => {
      const address = `${API}${path}?follow=true&tail=${encodeURIComponent(tail)}`;
      const answer = await ask(address, { signal: abort.signal });
      if (!answer.body) return;
      for await (const batch of batches<LogEntry>(answer.body)) {
        if (batch.some((entry) => entry.error === 'session-ended')) end();
        store.get().buffer.add(batch);
        store.soon();
      }
      store.set({ state: 'ended' });
    };
    read().catch((error) => {
      if (!abort.signal.aborted) store.set({ state: 'failed', error });
    });
    return () => abort.abort();
  }, [path, tail, turn, here, store]);
  const feed = useSyncExternalStore(store.subscribe, store.get);
  return { feed, again: useCallback(() => setTurn((now) => now + 1), []) };
}

/** Names get one of these in turn; the name itself always stands beside it. */
const HUES = ['text-accent', 'text-good', 'text-warn', 'text-bad', 'text-muted'];

const LEVEL_LOOK = { error: 'text-bad', warn: 'text-warn', other: '' };

export function LogView({ path, many }: { path: string; many: boolean }) {
  const [tail, setTail] = useState('500');
  const { feed, again } = useFeed(path, tail);
  const [words, setWords] = useState('');
  const [level, setLevel] = useState('any');
  const [wrap, setWrap] = useState(false);
  const [stamps, setStamps] = useState(true);
  const { buffer, version } = feed;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the buffer changes in place
  const found = useMemo((): Line[] | undefined => {
    if (words === '' && level === 'any') return undefined;
    const wanted = words.toLowerCase();
    return buffer.matching(
      (line) =>
        (wanted === '' || line.text.toLowerCase().includes(wanted)) &&
        (level === 'any' ||
          levelOf(line.text) === 'error' ||
          (level === 'warn' && levelOf(line.text) === 'warn')),
    );
  }, [version, words, level, buffer]);
  const total = buffer.length;
  const shown = found ? found.length : total;
  return (
    <div className="panel">
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-2">
        <input
          type="search"
          className="field max-w-64"
          data-filter
          aria-label="Search the log"
          placeholder="Search the log"
          value={words}
          onChange={(event) => setWords(event.target.value)}
        />
        <Pick
          label="Level"
          value={level}
          onPick={setLevel}
          options={[
            ['any', 'any level'],
            ['warn', 'warnings up'],
            ['error', 'errors'],
          ]}
        />
        <Pick
          label="From"
          value={tail}
          onPick={setTail}
          options={[
            ['100', 'last 100'],
            ['500', 'last 500'],
            ['5000', 'last 5,000'],
            ['all', 'all'],
          ]}
        />
        <Toggle name="wrap" on={wrap} set={setWrap} />
        <Toggle name="times" on={stamps} set={setStamps} />
        <span className="flex-1" />
        <button
          type="button"
          className="button button-small"
          onClick={() => download(buffer, found)}
        >
          Download
        </button>
      </div>
      {feed.reading.state === 'failed' ? (
        <div className="p-3">
          <ProblemView error={feed.reading.error} retry={again} />
        </div>
      ) : null}
      <Lines
        buffer={buffer}
        found={found}
        shown={shown}
        many={many}
        wrap={wrap}
        stamps={stamps}
        words={words}
      />
      <div
        className="flex flex-wrap gap-x-4 border-t border-line px-3 py-1.5 text-xs text-muted"
        data-log-foot
      >
        <span>
          {found ? `${shown.toLocaleString('en')} of ` : ''}
          {total.toLocaleString('en')} lines
        </span>
        {buffer.dropped > 0 ? (
          <span>{buffer.dropped.toLocaleString('en')} older ones were let go</span>
        ) : null}
        <Ends buffer={buffer} />
        {feed.reading.state === 'ended' ? (
          <button type="button" className="link" onClick={again}>
            Read it again
          </button>
        ) : null}
      </div>
    </div>
  );
}

function Pick({
  label,
  value,
  options,
  onPick,
}: {
  label: string;
  value: string;
  options: [string, string][];
  onPick: (value: string) => void;
}) {
  return (
    <select
      className="field w-auto"
      aria-label={label}
      value={value}
      onChange={(event) => onPick(event.target.value)}
    >
      {options.map(([id, name]) => (
        <option key={id} value={id}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Toggle({ name, on, set }: { name: string; on: boolean; set: (on: boolean) => void }) {
  return (
    <label className="inline-flex min-h-6 items-center gap-1.5">
      <input type="checkbox" checked={on} onChange={(event) => set(event.target.checked)} />
      {name}
    </label>
  );
}

function Ends({ buffer }: { buffer: LogBuffer }) {
  const ends = [...buffer.ends].filter(([, end]) => end.reason !== 'complete');
  return ends.map(([instance, end]) => (
    <span key={instance} className="text-warn">
      {visible(instance)}: {visible(end.reason)}
      {end.message ? `, ${visible(end.message)}` : ''}
    </span>
  ));
}

function Lines({
  buffer,
  found,
  shown,
  many,
  wrap,
  stamps,
  words,
}: {
  buffer: LogBuffer;
  found: Line[] | undefined;
  shown: number;
  many: boolean;
  wrap: boolean;
  stamps: boolean;
  words: string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [following, follow] = useState(true);
  const [seen, setSeen] = useState(0);
  const newest = buffer.at(buffer.length - 1)?.number ?? 0;
  const virtual = useVirtualizer({
    count: shown,
    getScrollElement: () => box.current,
    estimateSize: () => 18,
    overscan: 10,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new line moves the end
  useEffect(() => {
    if (!following || !box.current) return;
    box.current.scrollTop = box.current.scrollHeight;
    setSeen(newest);
  }, [following, newest, shown]);
  const onScroll = () => {
    const it = box.current;
    if (!it) return;
    const atEnd = it.scrollHeight - it.scrollTop - it.clientHeight < 24;
    if (atEnd !== following) {
      follow(atEnd);
      if (!atEnd) setSeen(newest);
    }
  };
  const fresh = newest - seen;
  return (
    <div className="relative">
      <div
        ref={box}
        onScroll={onScroll}
        role="log"
        aria-live="off"
        aria-label="Log"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
        tabIndex={0}
        className="code h-[62dvh] overflow-auto bg-sunken"
        data-following={following}
      >
        <div className="relative" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const line = found ? found[item.index] : buffer.at(item.index);
            return line ? (
              <div
                key={item.key}
                data-index={item.index}
                ref={wrap ? virtual.measureElement : undefined}
                className={`absolute left-0 top-0 flex gap-2 px-3 leading-[18px] ${wrap ? 'w-full' : 'min-w-full'}`}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <LogLine line={line} many={many} wrap={wrap} stamps={stamps} words={words} />
              </div>
            ) : null;
          })}
        </div>
        {shown === 0 ? <p className="p-3 text-muted">No lines yet.</p> : null}
      </div>
      {following ? null : (
        <button
          type="button"
          className="button button-main absolute bottom-3 right-5 shadow-lg"
          onClick={() => follow(true)}
        >
          ▼ {fresh > 0 ? `${fresh.toLocaleString('en')} new` : 'to the end'}
        </button>
      )}
    </div>
  );
}

function hue(instance: string): string {
  const number = Number(/\[(\d+)\]$/.exec(instance)?.[1] ?? 0);
  return HUES[number % HUES.length] ?? '';
}

function LogLine({
  line,
  many,
  wrap,
  stamps,
  words,
}: {
  line: Line;
  many: boolean;
  wrap: boolean;
  stamps: boolean;
  words: string;
}) {
  const at = line.at === '' ? undefined : Date.parse(line.at);
  return (
    <>
      {stamps && at !== undefined && !Number.isNaN(at) ? (
        <span className="shrink-0 text-muted">{clock(at)}</span>
      ) : null}
      {many ? (
        <span className={`w-24 shrink-0 truncate ${hue(line.instance)}`}>
          {visible(line.instance)}
        </span>
      ) : null}
      <span
        className={`${wrap ? 'whitespace-pre-wrap break-all' : 'whitespace-pre'} ${line.stream === 'devnet' ? 'italic text-muted' : LEVEL_LOOK[levelOf(line.text)]}`}
      >
        <Marked text={visible(line.text)} words={words} />
      </span>
    </>
  );
}

function Marked({ text, words }: { text: string; words: string }) {
  const at = words === '' ? -1 : text.toLowerCase().indexOf(words.toLowerCase());
  if (at < 0) return <>{text}</>;
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, at + words.length)}</mark>
      {text.slice(at + words.length)}
    </>
  );
}

/** What is in memory, as a file: no second copy of it is asked of the node. */
function download(buffer: LogBuffer, found: Line[] | undefined): void {
  const all = found ?? buffer.matching(() => true);
  const text = all.map((line) => `${line.at} ${line.instance} ${line.stream} ${line.text}\n`);
  const address = URL.createObjectURL(new Blob(text, { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = 'log.txt';
  link.click();
  URL.revokeObjectURL(address);
}
