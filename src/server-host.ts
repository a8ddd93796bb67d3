/** What all connections of a server share, made from its options: sessions, clock, store, output. */
import { makeStreamHost, type StreamHost } from './net/stream/stream-host.ts';
import { Auth, type AuthFailure } from './protocol/auth.ts';
import type { ProtocolHost } from './protocol/channel.ts';
import { ShiftedClock, systemClock } from './runtime/clock.ts';
import { IdCounter } from './runtime/id-counter.ts';
import { type Limits, usualLimits } from './runtime/limits.ts';
import { DEFAULT_ABANDON_TIMEOUT_MS, type ServerOptions } from './server-options.ts';
import { Counters } from './session/counters.ts';
import { Namespaces } from './session/namespace.ts';
import { nameSource } from './session/session-key.ts';
import { Persistence } from './store/persistence.ts';

export interface ServerHost extends ProtocolHost {
  readonly streams: StreamHost;
  /** Undefined without a store. */
  readonly persistence: Persistence | undefined;
}

export interface HostEvents {
  storeFailed(error: Error): void;
  /** A connection has input. Called often. */
  inputArrived(): void;
  authFailed(failure: AuthFailure, client: string): void;
}

export function makeHost(options: ServerOptions, events: HostEvents): ServerHost {
  const { clock: realClock = systemClock, store, ownership } = options;
  const shiftedClock = new ShiftedClock(realClock);
  const clock = store === undefined ? realClock : shiftedClock;
  const limits = limitsOf(options);
  const lockIds = store === undefined ? new IdCounter(Date.now()) : new IdCounter(0);
  const registry = new Namespaces(lockIds.next, limits.maxLockBytes);
  const persistence =
    store &&
    new Persistence(store, {
      clock: shiftedClock,
      lockIds,
      registry,
      wallNow: () => Date.now(),
      graceMs: ownership?.graceMs ?? 0,
      failed: (error) => events.storeFailed(error),
    });
  const ledger = persistence?.ledger;
  return {
    persistence,
    journal: ledger,
    registry,
    newName: nameSource(),
    serverAddress: () => ownership?.address,
    clock,
    // With a store time goes on from an earlier server.
    startedMs: store === undefined ? clock.now() : 0,
    // By a clock that never jumps: costly work could rest until a time before the jump.
    streams: makeStreamHost(realClock, limits.maxBufferBytes, {
      sharedReads: options.sharedReads ?? true,
      gate: ledger && ownership ? ownership.gate(ledger) : ledger,
      inputArrived: () => events.inputArrived(),
    }),
    counters: new Counters(),
    limits,
    observer: options.lockObserver,
    sessionObserver: options.sessionObserver,
    defaultAbandonTimeoutMs: Math.min(
      options.defaultAbandonTimeoutMs ?? DEFAULT_ABANDON_TIMEOUT_MS,
      limits.maxAbandonTimeoutMs,
    ),
    auth: new Auth({ client: options.tokens ?? [], admin: options.adminTokens ?? [] }),
    adminObserver: options.adminObserver,
    authFailed: (failure, client) => events.authFailed(failure, client),
  };
}

function limitsOf({ limits = {} }: ServerOptions): Limits {
  const usual = usualLimits();
  const { firstMessageMs: firstLineMs = usual.firstLineMs } = limits;
  return { ...usual, firstLineMs, ...limits };
}
