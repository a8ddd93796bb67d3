/** The lock tree of a model: its rows, some of them collapsed, or a text if there are none. */
import { h, setText } from './dom.ts';
import { LockList } from './lock-list.ts';
import type { LockModel } from './model.ts';
import { type LockRow, type RowOptions, treeRows } from './tree-rows.ts';
import { oldestBlocker } from './waits.ts';

export class LockTree {
  readonly element: HTMLElement;
  readonly list: LockList;
  readonly #model: LockModel;
  readonly #collapsed = new Set<string>();
  readonly #empty = h('p', { class: 'empty' });
  readonly #changed: () => void;

  /**
   * @param onChange it must be drawn again
   * @param onOpen a lock was clicked, or Enter pressed on it
   */
  constructor(
    label: string,
    model: LockModel,
    onChange: () => void,
    onOpen: (row: LockRow) => void = () => {},
  ) {
    this.#model = model;
    this.#changed = onChange;
    this.list = new LockList(label, {
      opened: (row) => {
        if (row.kind === 'lock') onOpen(row);
      },
      toggled: (key, isExpanded) => this.#toggle(key, isExpanded),
      findBlocker: (lock) => oldestBlocker(model, lock),
    });
    this.element = h('section', { class: 'locks', 'aria-label': label }, listHead());
    this.element.append(this.#empty, this.list.element);
  }

  /** @param emptyText is shown if there are no rows */
  draw(options: Omit<RowOptions, 'collapsed'>, emptyText: string): void {
    const rows = treeRows(this.#model, { ...options, collapsed: this.#collapsed });
    this.list.element.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
    setText(this.#empty, emptyText);
    this.list.show(rows);
  }

  /** As for another namespace. */
  expandAll(): void {
    this.#collapsed.clear();
  }

  #toggle(key: string, isExpanded: boolean): void {
    if (isExpanded) this.#collapsed.delete(key);
    else this.#collapsed.add(key);
    this.#changed();
  }
}

/** Names of the columns, for the eye: a row reads well without them. */
function listHead(): HTMLElement {
  const names = ['Path', 'For', 'Client', 'Label', 'Waits'];
  const cells = names.map((name) => h('span', {}, name));
  return h('div', { class: 'list-head', 'aria-hidden': 'true' }, ...cells);
}
