/** The figures of the namespace, each with its course over the last minutes. */
import { h, setAttribute, setText } from './dom.ts';
import { chartPath, type Series } from './series.ts';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 300;
const HEIGHT = 36;

/** One figure: its name, its value now, its course. */
export class Figure {
  readonly element: HTMLElement;
  readonly #name: string;
  readonly #value = h('strong', { class: 'value' });
  readonly #chart = document.createElementNS(SVG, 'svg');
  readonly #line = document.createElementNS(SVG, 'path');

  /** @param kind its class in the style sheet */
  constructor(name: string, kind: string) {
    this.#name = name;
    this.#chart.setAttribute('viewBox', `0 -2 ${WIDTH} ${HEIGHT + 4}`);
    this.#chart.setAttribute('preserveAspectRatio', 'none');
    this.#chart.setAttribute('role', 'img');
    this.#chart.append(this.#line);
    const title = h('span', { class: 'title' }, name);
    this.element = h('div', { class: `figure ${kind}` }, title, this.#value, this.#chart);
    setText(this.#value, '–');
  }

  /** @param textOf says a value to a person */
  show(series: Series, textOf: (value: number) => string): void {
    const { last, max, values } = series;
    setText(this.#value, last === undefined ? '–' : textOf(last));
    const data = chartPath(values, Math.max(max, 1), WIDTH, HEIGHT);
    setAttribute(this.#line, 'd', data);
    const label = `${this.#name}: at most ${textOf(max)} in the last ${minutesText(values.length)}`;
    setAttribute(this.#chart, 'aria-label', label);
    setAttribute(this.element, 'title', label);
  }
}

function minutesText(seconds: number): string {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
}
