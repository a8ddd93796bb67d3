/**
 * Which thread of work asks for a lock. Nested `withLock` calls share an owner, so that the server can
 * detect a deadlock between two code paths. Calls that run concurrently don't, since one can proceed
 * while the other waits.
 */
import type { Context } from './environment.ts';

/** A `withLock` call. */
class Frame {
  readonly owner: string;
  readonly #outer: Frame | undefined;
  /** Whether a call nested in it is running. */
  #hasInner = false;
  #isOver = false;

  constructor(owner: string, outer: Frame | undefined) {
    this.owner = owner;
    this.#outer = outer;
    if (outer !== undefined) outer.#hasInner = true;
  }

  /** Whether a request made now by code inside it is the next step of its work. */
  get isCurrent(): boolean {
    return !this.#isOver && !this.#hasInner;
  }

  leave(): void {
    this.#isOver = true;
    if (this.#outer !== undefined) this.#outer.#hasInner = false;
  }
}

/** Numbers the owners of this process, for all of its clients. */
let count = 0;

export class Owners {
  readonly #context: Context<unknown> | undefined;

  constructor(context: Context<unknown> | undefined) {
    this.#context = context;
  }

  /** The owner of a request made here; undefined outside of all `withLock` calls. */
  get current(): string | undefined {
    return this.#frame?.owner;
  }

  /** A `withLock` call begins; undefined if it has no owner and none can be carried along. */
  enter(owner: string | undefined): Frame | undefined {
    if (owner !== undefined) return new Frame(owner, undefined);
    if (this.#context === undefined) return undefined;
    const outer = this.#frame;
    return new Frame(outer?.owner ?? `work-${++count}`, outer);
  }

  run<R>(frame: Frame | undefined, work: () => R): R {
    if (frame === undefined || this.#context === undefined) return work();
    return this.#context.run(frame, work);
  }

  get #frame(): Frame | undefined {
    const frame = this.#context?.get();
    return frame instanceof Frame && frame.isCurrent ? frame : undefined;
  }
}
