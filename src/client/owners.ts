/**
 * Which thread of work asks for a lock. `withLock` calls that are nested share an owner, so that two
 * code paths that wait for each other are noticed; those that run side by side don't, for one of them
 * may go on while the other waits.
 */
import type { Context } from './environment.ts';

/** A `withLock` call. */
export class Frame {
  readonly owner: string;
  readonly #outer: Frame | undefined;
  /** Whether one that is nested in it runs. */
  #hasInner = false;
  #isOver = false;

  constructor(owner: string, outer: Frame | undefined) {
    this.owner = owner;
    this.#outer = outer;
    if (outer !== undefined) outer.#hasInner = true;
  }

  /** Whether what is asked for now, by code that runs in it, is the next step of its work. */
  get isCurrent(): boolean {
    return !this.#isOver && !this.#hasInner;
  }

  leave(): void {
    this.#isOver = true;
    if (this.#outer !== undefined) this.#outer.#hasInner = false;
  }
}

/** Owners so far in this process: their names are good for all clients. */
let count = 0;

export class Owners {
  readonly #context: Context<unknown> | undefined;

  constructor(context: Context<unknown> | undefined) {
    this.#context = context;
  }

  /** The owner of what is asked for here; undefined outside of all `withLock` calls. */
  get current(): string | undefined {
    return this.#frame?.owner;
  }

  /** A `withLock` call begins; undefined if there is nothing to name its owner by. */
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
