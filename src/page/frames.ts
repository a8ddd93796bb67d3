/**
 * Draws at most once per frame of the screen, and never for more than a fifth of the time: after a
 * drawing that took long, the next one is later.
 */

const REST_PER_WORK = 4;
const MAX_REST_MS = 1000;

export class Frames {
  readonly #draw: () => void;
  #isRequested = false;
  #notBeforeMs = 0;

  constructor(draw: () => void) {
    this.#draw = draw;
  }

  /** Something has changed. */
  request(): void {
    if (this.#isRequested) return;
    this.#isRequested = true;
    const waitMs = this.#notBeforeMs - performance.now();
    if (waitMs <= 0) this.#onFrame();
    else setTimeout(() => this.#onFrame(), waitMs);
  }

  #onFrame(): void {
    requestAnimationFrame(() => {
      this.#isRequested = false;
      const startMs = performance.now();
      this.#draw();
      const endMs = performance.now();
      this.#notBeforeMs = endMs + Math.min(REST_PER_WORK * (endMs - startMs), MAX_REST_MS);
    });
  }
}
