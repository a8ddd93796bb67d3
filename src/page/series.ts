/** What the charts show: one value a second of the last minutes. Pure. */

/** Seconds that are kept. */
export const SERIES_LENGTH = 300;

export class Series {
  /** Oldest first; undefined where nothing is known, as without a connection. */
  readonly #values: (number | undefined)[] = [];

  push(value: number | undefined): void {
    this.#values.push(value);
    if (this.#values.length > SERIES_LENGTH) this.#values.shift();
  }

  get values(): readonly (number | undefined)[] {
    return this.#values;
  }

  get last(): number | undefined {
    return this.#values.at(-1);
  }

  /** The largest value; 0 if there is none. */
  get max(): number {
    return this.#values.reduce<number>((max, value) => Math.max(max, value ?? 0), 0);
  }
}

/**
 * The lines of a chart of `width` times `height`, as the data of an SVG path: a gap where values
 * are missing. The newest value is at the right edge.
 *
 * @param max the value at the upper edge, above 0
 */
export function chartPath(
  values: readonly (number | undefined)[],
  max: number,
  width: number,
  height: number,
): string {
  const step = width / (SERIES_LENGTH - 1);
  const start = width - step * (values.length - 1);
  let data = '';
  let isDrawing = false;
  values.forEach((value, i) => {
    if (value === undefined) {
      isDrawing = false;
      return;
    }
    const x = (start + i * step).toFixed(1);
    const y = (height - (value / max) * height).toFixed(1);
    data += `${isDrawing ? 'L' : 'M'}${x} ${y}`;
    isDrawing = true;
  });
  return data;
}
