/** What an `Ownership` works with: the cell, clocks, settings, and whom it tells. */
import type { Clock } from '../runtime/clock.ts';
import type { EtcdError } from '../store/etcd-error.ts';

/** A successful claim. */
export interface Claimed {
  readonly lease: string;
  /** The revision in which the owner key was made. */
  readonly createRevision: string;
}

/** What decides who is the owner. All reject with an `EtcdError` if they can't be carried out. */
export interface Cell {
  /** The address of another server that owns the cell; undefined if there seems to be none. */
  owner(): Promise<string | undefined>;
  /** Undefined if another server was faster. */
  claim(): Promise<Claimed | undefined>;
  /** False if the lease is over. */
  keepAlive(claimed: Claimed): Promise<boolean>;
  /** Whether this server is still the owner, at a moment after the call. */
  prove(claimed: Claimed): Promise<boolean>;
  resign(claimed: Claimed): Promise<void>;
}

/** All clocks at hand, in milliseconds. */
export interface Clocks {
  readonly clock: Clock;
  /** Since 1970. */
  wallMs(): number;
  /** Since the machine has started, suspended time included. */
  uptimeMs(): number;
}

export interface OwnershipEvents {
  /** Another server owns the cell: its address, each time that it changes. */
  waiting?(owner: string): void;
  owning?(): void;
  /** There is no fresh proof: connections must be cut at once. */
  silenced?(): void;
  /** A try failed. Calls can be frequent. */
  trouble?(error: EtcdError): void;
}

export interface OwnershipOptions {
  readonly cell: Cell;
  readonly clocks: Clocks;
  /** The lease's time in milliseconds. */
  readonly ttlMs: number;
  /** Where clients find this server, as the cell has it; it may be known only once it listens. */
  readonly address?: () => string;
  /** Goes on from earlier ownerships. */
  readonly statistics?: OwnershipStatistics;
}

/** Counts over all ownerships of a process. */
export interface OwnershipStatistics {
  /** How often the server has become the owner. */
  takeovers: number;
  /** Requests to etcd that failed and were tried again. */
  retries: number;
}
