/**
 * One queue for costly work: what connections have deferred, and the next requests of those whose
 * last one was costly. Each turn of the event loop spends `SLICE_MS` on it, or one job if that takes
 * longer. While others have requests, it has half of the time at most: for as long as costly work
 * has taken, they are served before the next job. So a thousand connections with costly requests
 * delay each of the others by one such request, not by the sum of them, and halve its throughput. What
 * it takes to write the answers comes on top.
 */
import type { Clock } from '../../runtime/clock.ts';

/** Milliseconds: what took less was not costly, whatever it might have been. */
export const COSTLY_MS = 0.1;

/** Milliseconds of a turn after which the rest of the queue waits for the next turn. */
const SLICE_MS = 2;

/**
 * Milliseconds without other input after which no one else is to be served: a client on the same
 * machine that has its answer usually has asked again by then.
 */
const QUIET_MS = 0.25;

/**
 * Milliseconds after which the queue goes on although others have requests. The first request of a
 * connection does not wait in it: without a bound, ever new connections would stop it for good.
 */
const MAX_REST_MS = 100;

interface Job {
  readonly run: () => void;
  readonly costMs: number;
}

export class TurnQueue {
  readonly #clock: Clock;
  #jobs: Job[] = [];
  /** Index of the first job that has not run. */
  #at = 0;
  #isRunning = false;
  /** Since when no job has run, while there are jobs. */
  #waitingSinceMs = 0;
  /** Until then the others are served. */
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #hasOthers = false;
  /** The end of the last turn in which there was something else to do. */
  #lastOthersMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** There was something else to do: a connection, or input that was not costly. */
  othersArrived(): void {
    this.#hasOthers = true;
  }

  /**
   * Calls `run` in a later turn, after the jobs before it.
   *
   * @param costMs milliseconds that this connection has just spent, and will spend again: that its
   *   next request costs as much as the last is the best guess there is
   */
  nextTurn(run: () => void, costMs = 0): void {
    if (this.#jobs.length === 0) this.#waitingSinceMs = this.#clock.now();
    if (costMs >= COSTLY_MS && !this.#isRunning) this.#rest(this.#clock.now(), costMs);
    if (this.#jobs.push({ run, costMs }) === 1) this.#clock.nextTurn(() => this.#turn());
  }

  #turn(): void {
    const startMs = this.#clock.now();
    if (this.#hasOthers) this.#lastOthersMs = startMs;
    this.#hasOthers = false;
    const isQuiet = startMs - this.#lastOthersMs >= QUIET_MS;
    if (isQuiet || startMs >= this.#restUntilMs) this.#run(startMs);
    if (this.#jobs.length > 0) this.#clock.nextTurn(() => this.#turn());
  }

  #run(startMs: number): void {
    this.#isRunning = true;
    const end = this.#jobs.length;
    let [nowMs, expectedMs] = [startMs, 0];
    do {
      const job = this.#jobs[this.#at++];
      expectedMs += job?.costMs ?? 0;
      job?.run();
      nowMs = this.#clock.now();
    } while (this.#at < end && Math.max(nowMs - startMs, expectedMs) < SLICE_MS);
    this.#jobs = this.#jobs.slice(this.#at);
    this.#at = 0;
    this.#isRunning = false;
    // What was deferred is not that of others, even what turned out to cost little.
    this.#hasOthers = false;
    this.#waitingSinceMs = nowMs;
    this.#rest(nowMs, nowMs - startMs);
  }

  /** Costly work has taken the last `ms` milliseconds. What others were due then is still due. */
  #rest(nowMs: number, ms: number): void {
    const leftMs = Math.max(0, this.#restUntilMs - (nowMs - ms));
    const restUntilMs = nowMs + leftMs + ms;
    this.#restUntilMs = Math.min(restUntilMs, this.#waitingSinceMs + MAX_REST_MS);
  }
}
