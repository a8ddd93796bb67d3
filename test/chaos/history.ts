/**
 * The events that clients observe, logged as they happen: one JSON object per line, one file per
 * process.
 *
 * `t` is `process.hrtime.bigint()` in nanoseconds. On Linux that is CLOCK_MONOTONIC, which is one
 * clock for all processes of a machine and runs while a process is stopped; so times of different
 * files can be compared. As numbers they are exact for a hundred days after the machine has
 * started.
 *
 * Each line is written with one system call, before anything that depends on it is sent: a process
 * that is killed has written all that it knew.
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import type { Resource } from '../../src/table/resource.ts';

/** Nanoseconds of a clock that all processes share. */
export type Nanos = number;

interface Of {
  readonly t: Nanos;
  /** The client, `PROCESS.NUMBER`: a session, or a connection of v1. */
  readonly c: string;
}

interface OfRequest extends Of {
  /** The number of the lock request, per client. */
  readonly r: number;
}

/** A session begins. Logged before its connection is opened. */
export interface Opened extends Of {
  readonly e: 'opened';
  readonly namespace: string;
  readonly abandonMs: number;
  /** Whether it can be resumed: then its waiting locks outlive a lost connection. */
  readonly isNamed: boolean;
}

/** A lock request; logged before it is sent. A retry after a lost connection is not logged. */
export interface Requested extends OfRequest {
  readonly e: 'request';
  readonly resources: readonly Resource[];
  readonly waitMs?: number;
  readonly holdMs?: number;
}

/**
 * The server reported the state of a lock. `asked` is when the latest request was sent whose reply
 * had been read by then, this one included: the report is later than that.
 */
export interface Told extends OfRequest {
  readonly e: 'told';
  readonly id: number;
  readonly state: 'enqueued' | 'acquired' | 'timeout' | 'expired' | 'released';
  readonly asked: Nanos;
}

/** The reply is an error: there is no lock. */
export interface Refused extends OfRequest {
  readonly e: 'refused';
  readonly code: string;
}

/** The client releases a lock or cancels its wait; logged before it is sent. */
export interface Releasing extends OfRequest {
  readonly e: 'release';
}

/** The client learns that a lock that it did not release has ended, but not why. */
export interface Gone extends OfRequest {
  readonly e: 'gone';
}

/**
 * The library relies on the lock at `t`, by its own reckoning. Then the server must still have it, be
 * the client connected or not. Only clients of the library log this.
 */
export interface Held extends OfRequest {
  readonly e: 'held';
}

/** A request sent at `asked` was answered: then, the state of all locks was as last reported. */
export interface Heard extends Of {
  readonly e: 'heard';
  readonly asked: Nanos;
  /** Set if that request resumed the session. */
  readonly resumed?: true;
}

/** The client says goodbye and gives up all its locks. Logged before it is sent. */
export interface Bye extends Of {
  readonly e: 'bye';
}

/** The client's end: it disconnects on purpose, or learns that its session has ended. */
export interface Ended extends Of {
  readonly e: 'vanished' | 'lost';
}

/** A process was killed, with all its clients. Written by the process that killed it. */
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
  | Held
  | Heard
  | Bye
  | Ended
  | Killed;

export function now(): Nanos {
  return Number(process.hrtime.bigint());
}

/** The file of a process's history. */
export class HistoryFile {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'a');
  }

  write(event: HistoryEvent): void {
    writeSync(this.#fd, `${JSON.stringify(event)}\n`);
  }
}

/** The events of a process; an incomplete last line is left out. */
export function readHistory(path: string): HistoryEvent[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line));
}
