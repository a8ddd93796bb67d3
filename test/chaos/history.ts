/**
 * What clients saw, written down as it happened: one JSON object per line, one file per process.
 *
 * `t` is `process.hrtime.bigint()` in nanoseconds. On Linux that is CLOCK_MONOTONIC, which is one
 * clock for all processes of a machine and goes on while a process is stopped; so times of different
 * files can be compared. As numbers they are exact for a hundred days after the machine has started.
 *
 * Lines are written with one system call each, before anything that depends on them is sent: a
 * process that is killed has written all it knew.
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import type { Resource } from '../../src/table/resource.ts';

/** Nanoseconds, by a clock that all processes share. */
export type Nanos = number;

interface Of {
  readonly t: Nanos;
  /** The client, `PROCESS.NUMBER`: a session, or a connection of v1. */
  readonly c: string;
}

interface OfRequest extends Of {
  /** Which lock request of this client. */
  readonly r: number;
}

/** A session begins. Logged before its connection is opened. */
export interface Opened extends Of {
  readonly e: 'opened';
  readonly namespace: string;
  readonly abandonMs: number;
  /** Whether it can be resumed, so that it keeps its places while it is lost. */
  readonly isNamed: boolean;
}

/** A lock is asked for; logged before it is sent. A repetition after a cut is not logged. */
export interface Requested extends OfRequest {
  readonly e: 'request';
  readonly resources: readonly Resource[];
  readonly waitMs?: number;
  readonly holdMs?: number;
}

/**
 * The server said how a lock stands. `asked` is when the latest request was sent whose answer had
 * been read by then, this one included: the server said it after that.
 */
export interface Told extends OfRequest {
  readonly e: 'told';
  readonly id: number;
  readonly state: 'enqueued' | 'acquired' | 'timeout' | 'expired' | 'released';
  readonly asked: Nanos;
}

/** An error is the answer: there is no lock. */
export interface Refused extends OfRequest {
  readonly e: 'refused';
  readonly code: string;
}

/** The client gives up a lock or its place; logged before it is sent. */
export interface Releasing extends OfRequest {
  readonly e: 'release';
}

/** The client learns that a lock which it did not give up is no more, and not why. */
export interface Gone extends OfRequest {
  readonly e: 'gone';
}

/** A request sent at `asked` was answered, and all that was known of locks was still so then. */
export interface Heard extends Of {
  readonly e: 'heard';
  readonly asked: Nanos;
}

/** The client says goodbye: it gives up all it has. Logged before it is sent. */
export interface Bye extends Of {
  readonly e: 'bye';
}

/** The client stops being: it vanishes on purpose, or learns that its session is no more. */
export interface Ended extends Of {
  readonly e: 'vanished' | 'lost';
}

/** A whole process was killed, with all its clients. Written by whoever killed it. */
export interface Killed {
  readonly t: Nanos;
  readonly e: 'killed';
  readonly process: string;
}

export type HistoryEvent =
  | Opened
  | Requested
  | Told
  | Refused
  | Releasing
  | Gone
  | Heard
  | Bye
  | Ended
  | Killed;

export function now(): Nanos {
  return Number(process.hrtime.bigint());
}

/** A file that a process writes its history to. */
export class HistoryFile {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'a');
  }

  write(event: HistoryEvent): void {
    writeSync(this.#fd, `${JSON.stringify(event)}\n`);
  }
}

/** What a process wrote; a last line that was cut off is left out. */
export function readHistory(path: string): HistoryEvent[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line));
}
