/**
 * One process in a world with true time: it sees time by clocks of its own, which run apart from the
 * true one, and it can be stopped, suspended with its machine, and killed. What happens to it while it
 * stands still happens when it goes on.
 */
import type { Clocks } from '../../src/cluster/ownership-options.ts';
import type { Clock, Timer } from '../../src/runtime/clock.ts';
import type { SimClock } from '../client/sim-clock.ts';
import type { Random } from '../support/random.ts';

interface Event {
  readonly kind: 'timer' | 'input';
  readonly run: () => void;
}

export class SimProcess implements Clock {
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #rate: number;
  readonly #wallOffsetMs: number;
  #state: 'running' | 'standing' | 'dead' = 'running';
  /** True times. */
  #suspendedSinceMs: number | undefined;
  #suspendedMs = 0;
  /** What has happened meanwhile. */
  #events: Event[] = [];

  /**
   * @param clock true time
   * @param rate of its clocks: 1 is exact
   * @param wallOffsetMs of its wall clock
   */
  constructor(clock: SimClock, random: Random, rate: number, wallOffsetMs: number) {
    this.#clock = clock;
    this.#random = random;
    this.#rate = rate;
    this.#wallOffsetMs = wallOffsetMs;
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  get isStanding(): boolean {
    return this.#state === 'standing';
  }

  get clocks(): Clocks {
    return {
      clock: this,
      wallMs: () => this.wallMs(),
      uptimeMs: () => this.#clock.now() * this.#rate,
    };
  }

  wallMs(): number {
    return this.#clock.now() * this.#rate + this.#wallOffsetMs;
  }

  /** Stands still while the machine is suspended. */
  now(): number {
    const trueMs = this.#suspendedSinceMs ?? this.#clock.now();
    return (trueMs - this.#suspendedMs) * this.#rate;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    // Time goes on meanwhile, however short it is: see `leftToSend`, which may find a rest by rounding.
    const dueMs = this.now() + (delayMs > 0 ? Math.max(delayMs, 0.001) : 0);
    let isOver = false;
    let timer: Timer | undefined;
    const fire = (): void => {
      if (isOver) return;
      // It may have been suspended meanwhile. Never early, also by what rounding makes.
      const leftMs = dueMs - this.now();
      if (leftMs > 0) arm(Math.max(leftMs, 0.001));
      else {
        isOver = true;
        callback();
      }
    };
    const arm = (ms: number): void => {
      timer = this.#clock.setTimer(ms / this.#rate, () => this.happens('timer', fire));
    };
    arm(delayMs);
    return {
      cancel: () => {
        isOver = true;
        timer?.cancel();
      },
    };
  }

  soon(job: () => void): void {
    queueMicrotask(job);
  }

  /** For what else a fake socket wants of its clock: jobs run by themselves. */
  runSoon(): void {}

  nextTurn(job: () => void): void {
    this.setTimer(0, job);
  }

  /** Something happens to it: now, or when it goes on. */
  happens(kind: Event['kind'], run: () => void): void {
    if (this.#state === 'running' && this.#events.length === 0) run();
    else if (this.#state !== 'dead') this.#events.push({ kind, run });
  }

  /** @param isSuspend its machine is suspended, not the process stopped */
  stand(isSuspend: boolean): void {
    if (this.#state !== 'running') return;
    this.#state = 'standing';
    if (isSuspend) this.#suspendedSinceMs = this.#clock.now();
  }

  goOn(): void {
    if (this.#state !== 'standing') return;
    this.#state = 'running';
    if (this.#suspendedSinceMs !== undefined) {
      this.#suspendedMs += this.#clock.now() - this.#suspendedSinceMs;
      this.#suspendedSinceMs = undefined;
    }
    // Timers may run before input is read, and the other way round.
    const first = this.#random.pick(['timer', 'input']);
    this.#events.sort((a, b) => Number(b.kind === first) - Number(a.kind === first));
    this.#drain();
  }

  kill(): void {
    this.#state = 'dead';
    this.#events = [];
  }

  #drain(): void {
    if (this.#state !== 'running') return;
    this.#events.shift()?.run();
    if (this.#events.length > 0) this.#clock.setTimer(0, () => this.#drain());
  }
}
