/**
 * One row of the lock tree, as an element that is filled again whenever what it shows has changed.
 */
import { h, setAttribute, setText } from './dom.ts';
import { ageText, heatOf, labelOf, lostText, modeText, stateWord, whoText } from './lock-words.ts';
import type { PageLock } from './model.ts';
import type { LockRow, PathRow, Row } from './tree-rows.ts';

/** The lock that holds up a waiting one, if it is known. */
export type FindBlocker = (lock: PageLock) => PageLock | undefined;

export class RowElement {
  readonly element = h('div', { role: 'treeitem', class: 'row' });
  readonly #mark = h('span', { 'aria-hidden': 'true' });
  readonly #name = h('span', { class: 'name' });
  readonly #mode = h('span', { class: 'mode' });
  readonly #age = h('span', { class: 'age' });
  readonly #who = h('span', { class: 'who' });
  readonly #label = h('span', { class: 'label' });
  readonly #note = h('span', { class: 'note' });

  constructor() {
    const lead = h('span', { class: 'lead' }, this.#mark, this.#name, this.#mode);
    this.element.append(lead, this.#age, this.#who, this.#label, this.#note);
  }

  fill(row: Row, nowMs: number, findBlocker: FindBlocker): void {
    setAttribute(this.element, 'aria-level', row.level);
    setAttribute(this.element, 'aria-posinset', row.position);
    setAttribute(this.element, 'aria-setsize', row.setSize);
    const level = String(row.level);
    const { style } = this.element;
    if (style.getPropertyValue('--level') !== level) style.setProperty('--level', level);
    if (row.kind === 'path') this.#fillPath(row, nowMs);
    else this.#fillLock(row, nowMs, findBlocker);
  }

  #fillPath({ text, held, waiting, oldestWaitMs, isExpanded }: PathRow, nowMs: number): void {
    const heat = oldestWaitMs === undefined ? 'calm' : heatOf(nowMs - oldestWaitMs);
    setAttribute(this.element, 'class', `row path ${heat}`);
    setAttribute(this.element, 'aria-expanded', isExpanded ? 'true' : 'false');
    setAttribute(this.#mark, 'class', 'twist');
    setText(this.#mark, isExpanded ? '▾' : '▸');
    setText(this.#name, text);
    setAttribute(this.#name, 'title', text);
    setText(this.#mode, '');
    setText(this.#age, oldestWaitMs === undefined ? '' : ageText(oldestWaitMs, nowMs));
    setText(this.#who, countText(held, waiting));
    setText(this.#label, '');
    setText(this.#note, heat === 'calm' ? '' : heat);
  }

  #fillLock({ lock, entry }: LockRow, nowMs: number, findBlocker: FindBlocker): void {
    const isHeld = lock.state === 'acquired';
    const state = isHeld ? 'held' : `waiting ${heatOf(nowMs - lock.sinceMs)}`;
    const states = `${state}${lock.isLost ? ' lost' : ''}`;
    setAttribute(this.element, 'class', `row lock ${states}`);
    setAttribute(this.element, 'aria-expanded', undefined);
    setAttribute(this.#mark, 'class', `mark ${states}`);
    setText(this.#mark, '');
    setText(this.#name, stateWord(lock));
    setAttribute(this.#name, 'title', undefined);
    setText(this.#mode, modeText(entry));
    setText(this.#age, ageText(lock.sinceMs, nowMs));
    setText(this.#who, whoText(lock));
    setText(this.#label, labelOf(lock));
    const blocker = isHeld ? undefined : findBlocker(lock);
    const behind = blocker === undefined ? '' : `behind ${whoText(blocker)}`;
    const notes = [behind, lostText(lock, nowMs)].filter((note) => note !== '');
    setText(this.#note, notes.join(', '));
  }
}

function countText(held: number, waiting: number): string {
  const parts = [held === 0 ? '' : `${held} held`, waiting === 0 ? '' : `${waiting} waiting`];
  return parts.filter((part) => part !== '').join(', ');
}
