/** The events of a client. A handler that throws does not affect it. */
import type { LockLostError, LocktopusError } from './errors.ts';
import type { HeldLock } from './held-lock.ts';

export interface ClientEvents {
  /** A new session has begun, on the server at that address. */
  connected: { readonly address: string; readonly sessionId: string };
  /** The session was resumed, with all its locks except those reported as lost. */
  resumed: { readonly address: string; readonly sessionId: string };
  /** The connection has ended; the client is reconnecting. */
  disconnected: { readonly error: LocktopusError };
  /** A lock was lost; its signal has aborted. */
  lost: { readonly lock: HeldLock; readonly error: LockLostError };
  /** The server is about to stop: release what you hold. */
  draining: { readonly address: string };
}

export type EventHandler<Name extends keyof ClientEvents> = (event: ClientEvents[Name]) => void;

type Handlers = { [Name in keyof ClientEvents]: Set<EventHandler<Name>> };

export class Emitter {
  readonly #report: (error: unknown) => void;
  readonly #handlers: Handlers = {
    connected: new Set(),
    resumed: new Set(),
    disconnected: new Set(),
    lost: new Set(),
    draining: new Set(),
  };

  /** @param report is called with what a handler has thrown */
  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  on<Name extends keyof ClientEvents>(name: Name, handler: EventHandler<Name>): void {
    this.#of(name).add(handler);
  }

  off<Name extends keyof ClientEvents>(name: Name, handler: EventHandler<Name>): void {
    this.#of(name).delete(handler);
  }

  emit<Name extends keyof ClientEvents>(name: Name, event: ClientEvents[Name]): void {
    for (const handler of [...this.#of(name)]) {
      try {
        handler(event);
      } catch (error) {
        this.#report(error);
      }
    }
  }

  #of<Name extends keyof ClientEvents>(name: Name): Set<EventHandler<Name>> {
    const handlers: Set<EventHandler<Name>> | undefined = this.#handlers[name];
    if (handlers === undefined) throw new TypeError(`unknown event "${String(name)}"`);
    return handlers;
  }
}
