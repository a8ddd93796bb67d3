/**
 * Finds a server that serves: tries one address after the other, each once without a pause, then
 * waits a while and begins anew. Whether a server serves is decided by whoever says `hello` to it.
 */
import { Backoff } from './backoff.ts';
import type { Environment, Timer } from './environment.ts';
import { LocktopusError } from './errors.ts';
import { Link, type LinkEvents } from './link.ts';
import type { Reply } from './replies.ts';
import type { Address } from './url.ts';

export interface ConnectorEvents {
  /** It is open; `settled` or `failed` must follow. */
  opened(link: Link): void;
  received(reply: Reply): void;
  /** A connection that had settled is gone. Another one is being sought already. */
  disconnected(error: LocktopusError): void;
  /** Every address has been tried, and none of them serves. */
  exhausted(failures: readonly LocktopusError[]): void;
}

export interface ConnectorSettings {
  readonly addresses: readonly Address[];
  readonly token: string | undefined;
  /** Milliseconds for an attempt, up to the answer to `hello`. */
  readonly attemptMs: number;
}

/** A connection that lives for so long, in milliseconds, was a good one: no need to be careful. */
const STABLE_MS = 5000;
const MAX_PAUSE_MS = 5000;

export class Connector implements LinkEvents {
  readonly #environment: Environment;
  readonly #settings: ConnectorSettings;
  readonly #events: ConnectorEvents;
  readonly #backoff: Backoff;
  /** The address that is tried or in use. */
  #index = 0;
  #failures: LocktopusError[] = [];
  #link: Link | undefined;
  #settledAtMs: number | undefined;
  /** Of the attempt, or of the pause before the next one. */
  #timer: Timer | undefined;
  #isStopped = false;
  /** Milliseconds between two rounds at most. */
  maxPauseMs = MAX_PAUSE_MS;

  constructor(environment: Environment, settings: ConnectorSettings, events: ConnectorEvents) {
    this.#environment = environment;
    this.#settings = settings;
    this.#events = events;
    this.#backoff = new Backoff(() => environment.random());
  }

  /** Tries the address whose turn it is. */
  start(): void {
    const { addresses, token, attemptMs } = this.#settings;
    const address = addresses[this.#index % addresses.length];
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

  /** The server at the other end serves. */
  settled(): void {
    this.#timer?.cancel();
    this.#failures = [];
    this.#settledAtMs = this.#environment.clock.now();
  }

  /** The attempt, or the connection that had settled, has come to nothing; goes on elsewhere. */
  failed(error: LocktopusError): void {
    if (this.#isStopped) return;
    this.#link?.drop();
    this.#timer?.cancel();
    this.#index = (this.#index + 1) % this.#settings.addresses.length;
    if (this.#settledAtMs !== undefined) {
      this.#again(error);
      return;
    }
    this.#failures.push(error);
    if (this.#failures.length < this.#settings.addresses.length) {
      this.start();
      return;
    }
    const failures = this.#failures;
    this.#failures = [];
    this.#pause();
    this.#events.exhausted(failures);
  }

  /** The connection that had settled is of no use any more; begins anew with the same address. */
  drop(error: LocktopusError): void {
    if (this.#isStopped) return;
    this.#link?.drop();
    this.#again(error);
  }

  /** No more attempts; the connection is left to whoever has it. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Ends the connection, or the attempt, at once or when all that was sent has gone out. */
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
    if (this.#settledAtMs === undefined) this.failed(error);
    else this.#again(error);
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
