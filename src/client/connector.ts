/**
 * Connects to one of several addresses: tries each once without a pause, then waits and starts over. Its
 * user sends `hello` and decides by the answer whether to stay (`settled`) or to go on (`failed`).
 *
 * A server that does not serve may name the one that does. That one is tried next if it is one of the
 * addresses: a server can't lead a client, and its token, anywhere else. As each address is tried once
 * between two pauses, servers that name each other make no busy loop.
 */
import { Backoff } from './backoff.ts';
import type { Environment, Timer } from './environment.ts';
import { LocktopusError, RefusedError } from './errors.ts';
import { Link, type LinkEvents } from './link.ts';
import type { Reply } from './replies.ts';
import { type Address, indexOfPlace } from './url.ts';

export interface ConnectorEvents {
  /** The connection is open; `settled` or `failed` must be called. */
  opened(link: Link): void;
  received(reply: Reply): void;
  /** A settled connection has ended. The next attempt is already scheduled. */
  disconnected(error: LocktopusError): void;
  /** Every address has been tried, and all failed. */
  exhausted(failures: readonly LocktopusError[]): void;
}

export interface ConnectorSettings {
  readonly addresses: readonly Address[];
  readonly token: string | undefined;
  /** Milliseconds for one attempt, including the answer to `hello`. */
  readonly attemptMs: number;
}

/** A connection that lasts so many milliseconds was stable: the next pause is short again. */
const STABLE_MS = 5000;
const MAX_PAUSE_MS = 5000;

export class Connector implements LinkEvents {
  readonly #environment: Environment;
  readonly #settings: ConnectorSettings;
  readonly #events: ConnectorEvents;
  readonly #backoff: Backoff;
  /** Of the address that is tried or in use. */
  #index = 0;
  /** By index: the addresses that were tried since the last pause. */
  readonly #failures = new Map<number, LocktopusError>();
  #link: Link | undefined;
  #settledAtMs: number | undefined;
  /** Of the attempt, or of the pause before the next one. */
  #timer: Timer | undefined;
  #isStopped = false;
  /** The longest pause between two rounds, in milliseconds. */
  maxPauseMs = MAX_PAUSE_MS;

  constructor(environment: Environment, settings: ConnectorSettings, events: ConnectorEvents) {
    this.#environment = environment;
    this.#settings = settings;
    this.#events = events;
    this.#backoff = new Backoff(() => environment.random());
  }

  get isSettled(): boolean {
    return this.#settledAtMs !== undefined;
  }

  /** Tries the current address. */
  start(): void {
    const { addresses, token, attemptMs } = this.#settings;
    const address = addresses[this.#index];
    if (address === undefined) throw new TypeError('there is no address to connect to');
    this.#settledAtMs = undefined;
    this.#timer = this.#environment.clock.setTimer(attemptMs, () => {
      const message = `${address.name} did not answer within ${attemptMs} ms`;
      this.failed(new LocktopusError('unreachable', message));
    });
    try {
      this.#link = new Link(this.#environment.open, address, token, this);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.failed(new LocktopusError('unreachable', `${address.name}: ${reason}`, error));
    }
  }

  /** The attempt has succeeded. */
  settled(): void {
    this.#timer?.cancel();
    this.#failures.clear();
    this.#settledAtMs = this.#environment.clock.now();
  }

  /** The attempt, or the settled connection, has failed; goes on with another address. */
  failed(error: LocktopusError): void {
    if (this.#isStopped) return;
    this.#link?.drop();
    this.#timer?.cancel();
    if (this.isSettled) {
      this.#index = this.#nextIndex(error);
      this.#again(error);
      return;
    }
    this.#failures.set(this.#index, error);
    this.#index = this.#nextIndex(error);
    if (!this.#failures.has(this.#index)) {
      this.start();
      return;
    }
    const failures = [...this.#failures.values()];
    this.#failures.clear();
    this.#pause();
    this.#events.exhausted(failures);
  }

  /** The address to try after `error`; one that was tried already if there is no other. */
  #nextIndex(error: LocktopusError): number {
    const { addresses } = this.#settings;
    const owner = error instanceof RefusedError ? error.owner : undefined;
    const named = owner === undefined ? -1 : indexOfPlace(addresses, owner);
    const isOther = named !== -1 && named !== this.#index;
    if (isOther && !this.#failures.has(named)) return named;
    for (let step = 1; step < addresses.length; step++) {
      const index = (this.#index + step) % addresses.length;
      if (!this.#failures.has(index)) return index;
    }
    return named === -1 ? (this.#index + 1) % addresses.length : named;
  }

  /** Ends the settled connection and reconnects, beginning with the same address. */
  drop(error: LocktopusError): void {
    if (this.#isStopped) return;
    this.#link?.drop();
    this.#again(error);
  }

  /** Makes no more attempts; the current connection stays until `endLink`. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** @param isGentle ends the connection when all that was sent has gone out, not at once */
  endLink(isGentle: boolean): void {
    if (isGentle) this.#link?.close();
    else this.#link?.drop();
  }

  opened(link: Link): void {
    this.#events.opened(link);
  }

  received(_link: Link, reply: Reply): void {
    this.#events.received(reply);
  }

  broken(_link: Link, error: LocktopusError): void {
    if (this.isSettled) this.#again(error);
    else this.failed(error);
  }

  #again(error: LocktopusError): void {
    const { clock } = this.#environment;
    const livedMs = clock.now() - (this.#settledAtMs ?? clock.now());
    this.#settledAtMs = undefined;
    if (livedMs >= STABLE_MS) this.#backoff.reset();
    this.#pause();
    this.#events.disconnected(error);
  }

  #pause(): void {
    if (this.#isStopped) return;
    const pauseMs = this.#backoff.next(this.maxPauseMs);
    this.#timer = this.#environment.clock.setTimer(pauseMs, () => this.start());
  }
}
