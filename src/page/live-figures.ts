/** What is counted once a second for the charts of the live view. */
import { formatAge } from '../operators/lock-text.ts';
import { Figure } from './charts.ts';
import { h } from './dom.ts';
import type { LockModel } from './model.ts';
import { Series } from './series.ts';

export class LiveFigures {
  readonly element = h('section', { class: 'figures', 'aria-label': 'Figures' });
  readonly #model: LockModel;
  readonly #acquired = new Figure('Acquired a second', 'rate');
  readonly #held = new Figure('Held', 'held');
  readonly #waiting = new Figure('Waiting', 'waiting');
  readonly #longest = new Figure('Longest wait', 'longest');
  #series = newSeries();
  #acquiredCount = 0;
  #hasMissed = false;

  constructor(model: LockModel) {
    this.#model = model;
    for (const { element } of [this.#held, this.#waiting, this.#longest, this.#acquired]) {
      this.element.append(element);
    }
  }

  /** Begins anew, as for another namespace. */
  clear(): void {
    this.#series = newSeries();
    this.#acquiredCount = 0;
  }

  acquired(count: number): void {
    this.#acquiredCount += count;
  }

  /** Events were missed: the rate of this second is not known. */
  dropped(): void {
    this.#hasMissed = true;
  }

  /**
   * Once a second.
   *
   * @param isKnown whether the model is the server's at the moment
   */
  tick(isKnown: boolean, nowMs: number): void {
    const { acquired, held, waiting, longest } = this.#series;
    const oldest = this.#model.longestWaiting();
    const waitedMs = oldest === undefined ? 0 : Math.max(0, nowMs - oldest.sinceMs);
    acquired.push(isKnown && !this.#hasMissed ? this.#acquiredCount : undefined);
    held.push(isKnown ? this.#model.acquired : undefined);
    waiting.push(isKnown ? this.#model.enqueued : undefined);
    longest.push(isKnown ? waitedMs : undefined);
    this.#acquiredCount = 0;
    this.#hasMissed = false;
    this.#acquired.show(acquired, String);
    this.#held.show(held, String);
    this.#waiting.show(waiting, String);
    this.#longest.show(longest, (ms) => (ms === 0 ? 'none' : formatAge(Math.max(1000, ms))));
  }
}

function newSeries() {
  return {
    acquired: new Series(),
    held: new Series(),
    waiting: new Series(),
    longest: new Series(),
  };
}
