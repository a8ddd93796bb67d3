/**
 * How long a held lock may be trusted by its `holdMs`, and the extensions that change it. Until the
 * server has answered an extension, the hold may end by it or as it did before: the earlier end counts.
 */
import type { ClientClock, Timer } from './environment.ts';
import { type ProtocolError, RefusedError } from './errors.ts';
import { outOfTurn, type Reply } from './replies.ts';
import type { Request } from './requests.ts';
import { elapsedMs, holdTrustMs, type Moment, momentOf } from './trust.ts';

/** What a hold needs of the session. */
export interface HoldHost {
  readonly clock: ClientClock;
  readonly isReady: boolean;
  readonly trust: { readonly confirmedAt: Moment } | undefined;
  nextRef(): number;
  send(request: Request): void;
}

/** An `extend` that is not answered yet. */
interface Extension extends Request {
  /** Infinity for a hold without an end. */
  readonly holdMs: number;
  /** When it was sent, for the first time; undefined before that. */
  sentAt: Moment | undefined;
  resolve(): void;
  reject(reason: unknown): void;
}

/** No extensions, as for most holds: one array that they share. */
const NONE: readonly Extension[] = [];

export class Hold {
  readonly #host: HoldHost;
  readonly #id: string;
  readonly #expired: () => void;
  #holdMs: number;
  #since: Moment;
  /** In the order in which they were requested. */
  #extensions = NONE;
  #timer: Timer | undefined;
  #isOver = false;

  /**
   * @param holdMs Infinity for a hold without an end
   * @param since it did not begin before this
   * @param expired called when the lock may not be trusted any more, if it has not ended
   */
  constructor(host: HoldHost, id: string, holdMs: number, since: Moment, expired: () => void) {
    this.#host = host;
    this.#id = id;
    this.#holdMs = holdMs;
    this.#since = since;
    this.#expired = expired;
  }

  /** Milliseconds for which the lock may still be trusted; at 0 or below it may not. */
  get leftMs(): number {
    let leftMs = this.#leftOf(this.#holdMs, this.#since);
    for (const { holdMs, sentAt } of this.#extensions) {
      if (sentAt !== undefined) leftMs = Math.min(leftMs, this.#leftOf(holdMs, sentAt));
    }
    return leftMs;
  }

  /** The shortest `holdMs` that may count now. */
  get shortestMs(): number {
    return Math.min(this.#holdMs, ...this.#extensions.map(({ holdMs }) => holdMs));
  }

  /** Sets the timer anew; `expired` is called from now on. */
  limit(leastMs = 0): void {
    this.#timer?.cancel();
    const { leftMs } = this;
    if (this.#isOver || leftMs === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#host.clock.setTimer(Math.max(leastMs, leftMs), () => {
      if (this.leftMs <= 0) this.#expired();
      // A timer can fire slightly early.
      else this.limit(1);
    });
  }

  /**
   * The lock is held. Resolves when the server has confirmed it. Rejects with the error by which the lock
   * is lost, or a `RefusedError`.
   *
   * @param holdMs Infinity for a hold without an end
   */
  extend(holdMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const ref = this.#host.nextRef();
      const message = { action: 'extend', ref, id: this.#id, holdMs: onTheWire(holdMs) };
      const extension: Extension = {
        ...{ action: 'extend', ref, holdMs, sentAt: undefined, resolve, reject },
        message: () => message,
        answered: (reply) => this.#answered(extension, reply),
      };
      this.#extensions = [...this.#extensions, extension];
      this.#send([extension]);
    });
  }

  /** There is a new connection: sends what was not answered. */
  resend(): void {
    if (this.#extensions.length > 0) this.#send(this.#extensions);
  }

  /** The caller has released the lock. Extensions that were sent before are still answered. */
  release(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  /** The server does not have the lock any more, or it is lost. */
  end(lostBy?: Error): void {
    this.release();
    for (const { reject } of this.#extensions) reject(lostBy ?? releasedAlready());
    this.#extensions = NONE;
  }

  #send(extensions: readonly Extension[]): void {
    if (!this.#host.isReady) return;
    for (const extension of extensions) {
      extension.sentAt ??= momentOf(this.#host.clock);
      this.#host.send(extension);
    }
    this.limit();
  }

  #answered(extension: Extension, reply: Reply): 'done' | ProtocolError {
    const { id, error, fields } = reply;
    const { trust } = this.#host;
    if (error !== undefined) {
      // The server has reported every end of a hold before this.
      const isDenied = error.code === 'no_such_lock' || error.code === 'not_acquired';
      if (isDenied && !this.#isOver) return outOfTurn(reply);
      extension.reject(new RefusedError(error.code, error.message));
    } else {
      const isConfirmed = id === this.#id && fields.holdMs === onTheWire(extension.holdMs);
      if (!isConfirmed || trust === undefined) return outOfTurn(reply);
      this.#holdMs = extension.holdMs;
      this.#since = trust.confirmedAt;
      extension.resolve();
    }
    this.#extensions = this.#extensions.filter((other) => other !== extension);
    this.limit();
    return 'done';
  }

  #leftOf(holdMs: number, since: Moment): number {
    if (holdMs === Number.POSITIVE_INFINITY) return holdMs;
    return holdTrustMs(holdMs) - elapsedMs(this.#host.clock, since);
  }
}

function onTheWire(holdMs: number): number | null {
  return holdMs === Number.POSITIVE_INFINITY ? null : holdMs;
}

export function releasedAlready(): RefusedError {
  return new RefusedError('no_such_lock', "the lock was released: it can't be extended");
}
