/**
 * The lock tree on the screen. Of thousands of rows only those in sight have elements; all are of
 * the same height, which the style sheet decides. The page itself scrolls, so that it works at any
 * zoom.
 *
 * By keyboard it is one stop: the arrows move an active row, Enter opens it
 * (`aria-activedescendant`).
 */
import { h, setAttribute } from './dom.ts';
import { type FindBlocker, RowElement } from './lock-row.ts';
import type { Row } from './tree-rows.ts';

export interface ListEvents {
  /** A row was clicked, or Enter pressed on it. */
  opened(row: Row): void;
  /** A path is to be expanded, or collapsed. */
  toggled(key: string, isExpanded: boolean): void;
  readonly findBlocker: FindBlocker;
}

/** Rows that are drawn above and below those in sight. */
const MARGIN = 8;
const PAGE_STEP = 10;

let lists = 0;

export class LockList {
  readonly element: HTMLElement;
  readonly #events: ListEvents;
  readonly #id = `list-${++lists}`;
  readonly #elements = new Map<string, RowElement>();
  readonly #probe = h('div', { class: 'row', 'aria-hidden': 'true', role: 'none' });
  #rows: readonly Row[] = [];
  #activeKey: string | undefined;
  #openKey: string | undefined;
  /** In pixels. */
  #rowHeight = 0;

  constructor(label: string, events: ListEvents) {
    this.#events = events;
    this.element = h('div', { role: 'tree', class: 'rows', tabindex: 0, 'aria-label': label });
    this.element.addEventListener('click', (event) => this.#clicked(event));
    this.element.addEventListener('keydown', (event) => this.#pressed(event));
    window.addEventListener('scroll', () => this.draw(), { passive: true });
    window.addEventListener('resize', () => {
      this.#rowHeight = 0;
      this.draw();
    });
  }

  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** @param rows keys are unique among them */
  show(rows: readonly Row[]): void {
    this.#rows = rows;
    this.draw();
  }

  /** Marks a row as the one whose details are shown. */
  markOpen(key: string | undefined): void {
    this.#openKey = key;
    this.draw();
  }

  /** Draws what is in sight, again or for the first time. */
  draw(): void {
    // Hidden, as the other view of the page.
    if (this.element.offsetParent === null) return;
    if (this.#rowHeight === 0) this.#measure();
    this.element.style.height = `${this.#rows.length * this.#rowHeight}px`;
    const { top } = this.element.getBoundingClientRect();
    const first = Math.max(0, Math.floor(-top / this.#rowHeight) - MARGIN);
    const last = Math.ceil((window.innerHeight - top) / this.#rowHeight) + MARGIN;
    const visible = this.#rows.slice(first, Math.max(first, last));
    const active = this.#rows.findIndex(({ key }) => key === this.#activeKey);
    const nowMs = performance.now();
    const spare = this.#takeSpare(visible);
    visible.forEach((row, i) => {
      const drawn = this.#elementOf(row, spare);
      drawn.fill(row, nowMs, this.#events.findBlocker);
      this.#place(drawn.element, first + i, row);
    });
    for (const { element } of spare) element.remove();
    const isActiveDrawn = active >= first && active < first + visible.length;
    setAttribute(
      this.element,
      'aria-activedescendant',
      isActiveDrawn ? `${this.#id}-${active}` : undefined,
    );
  }

  #place(element: HTMLElement, index: number, { key }: Row): void {
    const id = `${this.#id}-${index}`;
    if (element.id !== id) {
      element.id = id;
      element.style.transform = `translateY(${Math.round(index * this.#rowHeight)}px)`;
    }
    element.classList.toggle('active', key === this.#activeKey);
    setAttribute(element, 'aria-selected', key === this.#openKey ? 'true' : 'false');
  }

  /** Elements of rows that are out of sight now, for others. */
  #takeSpare(visible: readonly Row[]): RowElement[] {
    const keys = new Set(visible.map(({ key }) => key));
    const spare: RowElement[] = [];
    for (const [key, drawn] of this.#elements) {
      if (keys.has(key)) continue;
      this.#elements.delete(key);
      spare.push(drawn);
    }
    return spare;
  }

  #elementOf({ key }: Row, spare: RowElement[]): RowElement {
    let drawn = this.#elements.get(key);
    if (drawn !== undefined) return drawn;
    drawn = spare.pop();
    if (drawn === undefined) {
      drawn = new RowElement();
      this.element.append(drawn.element);
    }
    this.#elements.set(key, drawn);
    return drawn;
  }

  #measure(): void {
    this.element.append(this.#probe);
    this.#rowHeight = Math.max(1, this.#probe.getBoundingClientRect().height);
    this.#probe.remove();
    for (const { element } of this.#elements.values()) element.id = '';
  }

  #clicked({ target }: Event): void {
    if (!(target instanceof Element)) return;
    const id = target.closest('.row')?.id ?? '';
    const row = this.#rows[Number(id.slice(id.lastIndexOf('-') + 1))];
    if (id === '' || row === undefined) return;
    this.#activeKey = row.key;
    this.#open(row);
  }

  #open(row: Row): void {
    if (row.kind === 'path') this.#events.toggled(row.key, !row.isExpanded);
    else this.#events.opened(row);
    this.draw();
  }

  #pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const active = this.#rows.findIndex(({ key }) => key === this.#activeKey);
    const row = this.#rows[active];
    switch (event.key) {
      case 'ArrowDown':
        this.#activate(active + 1);
        break;
      case 'ArrowUp':
        this.#activate(Math.max(0, active - 1));
        break;
      case 'PageDown':
        this.#activate(active + PAGE_STEP);
        break;
      case 'PageUp':
        this.#activate(Math.max(0, active - PAGE_STEP));
        break;
      case 'Home':
        this.#activate(0);
        break;
      case 'End':
        this.#activate(this.#rows.length - 1);
        break;
      case 'ArrowRight':
        if (row?.kind !== 'path' || row.isExpanded) this.#activate(active + 1);
        else this.#open(row);
        break;
      case 'ArrowLeft':
        if (row?.kind === 'path' && row.isExpanded) this.#open(row);
        else this.#activate(this.#above(active));
        break;
      case 'Enter':
      case ' ':
        if (row !== undefined) this.#open(row);
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  /** The index of the path row that a row is below of. */
  #above(index: number): number {
    const level = this.#rows[index]?.level ?? 1;
    for (let i = index - 1; i >= 0; i--) if ((this.#rows[i]?.level ?? 0) < level) return i;
    return Math.max(0, index);
  }

  #activate(index: number): void {
    const last = this.#rows.length - 1;
    const row = this.#rows[Math.min(index, last)];
    if (row === undefined) return;
    this.#activeKey = row.key;
    const { top } = this.element.getBoundingClientRect();
    const rowTop = top + Math.min(index, last) * this.#rowHeight;
    const below = rowTop + 2 * this.#rowHeight - window.innerHeight;
    if (rowTop < this.#rowHeight) window.scrollBy(0, rowTop - this.#rowHeight);
    else if (below > 0) window.scrollBy(0, below);
    this.draw();
  }
}
