/** Asks before something is evicted: what will be broken, and who gets what next. */
import type { EvictTarget } from '../client/client.ts';
import { printable } from '../operators/printable.ts';
import type { Eviction } from './administrator.ts';
import { announce, button, h, setText } from './dom.ts';
import { ageText, lockText, stateWord, whoText } from './lock-words.ts';
import type { LockModel, PageLock } from './model.ts';
import { TokenForm } from './token-form.ts';
import { grantedBy } from './waits.ts';

export interface EvictEvents {
  evict(target: EvictTarget): Promise<Eviction>;
  /** The token of an administrator was typed. */
  adminToken(token: string): void;
}

/** Locks that are listed; of others the number is given. */
const MAX_LISTED = 8;

export class EvictDialog {
  readonly element = h('dialog', { class: 'dialog', 'aria-labelledby': 'evict-title' });
  readonly #model: LockModel;
  readonly #events: EvictEvents;
  readonly #title = h('h2', { id: 'evict-title' });
  readonly #body = h('div', { class: 'body' });
  readonly #result = h('p', { class: 'result', role: 'status' });
  readonly #evictButton: HTMLButtonElement;
  readonly #tokenForm: TokenForm;
  #target: EvictTarget = { id: '' };

  constructor(model: LockModel, events: EvictEvents) {
    this.#model = model;
    this.#events = events;
    this.#evictButton = button('Evict', () => void this.#evict(), { class: 'danger' });
    this.#tokenForm = new TokenForm('Admin token', 'Evict with it', (token) => {
      events.adminToken(token);
      void this.#evict();
    });
    const cancel = button('Cancel', () => this.element.close());
    const buttons = h('div', { class: 'buttons' }, cancel, this.#evictButton);
    const { element: form } = this.#tokenForm;
    this.element.append(this.#title, this.#body, this.#result, form, buttons);
  }

  /** Asks whether a lock is to be taken away. */
  askForLock(lock: PageLock): void {
    setText(this.#title, `Evict lock ${lock.id}?`);
    setText(this.#evictButton, 'Evict the lock');
    this.#ask({ id: lock.id }, lock, [lock]);
  }

  /** Asks whether the session of a lock is to be ended, with all its locks. */
  askForSession(lock: PageLock): void {
    const { sessionId } = lock;
    setText(this.#title, `End session ${sessionId}?`);
    setText(this.#evictButton, 'End the session');
    const locks = [...this.#model.locks()].filter((other) => other.sessionId === sessionId);
    this.#ask({ sessionId }, lock, locks);
  }

  #ask(target: EvictTarget, { session, client }: PageLock, locks: readonly PageLock[]): void {
    this.#target = target;
    const nowMs = performance.now();
    const { locks: next, mayBeMore } = grantedBy(this.#model, new Set(locks.map(({ id }) => id)));
    const who = session === undefined ? client : `${printable(session)} (${client})`;
    const losing = locks.map(
      (lock) => `${lockText(lock)}, ${stateWord(lock)} for ${ageText(lock.sinceMs, nowMs)}`,
    );
    const getting = next.map(
      (lock) => `${whoText(lock)} gets ${lockText(lock)}, after ${ageText(lock.sinceMs, nowMs)}`,
    );
    const isHeld = locks.some(({ state }) => state === 'acquired');
    this.#body.replaceChildren(
      h('h3', {}, `${who} loses`),
      listOf(losing, 'Nothing: it has no lock.'),
      h('h3', {}, 'Acquired next, at once'),
      listOf(getting, mayBeMore ? 'Perhaps other locks.' : 'No lock waits for these alone.'),
    );
    if (isHeld) this.#body.append(h('p', { class: 'hint' }, WARNING));
    setText(this.#result, '');
    this.#tokenForm.hide();
    this.#evictButton.disabled = false;
    this.element.showModal();
  }

  async #evict(): Promise<void> {
    this.#evictButton.disabled = true;
    this.#tokenForm.hide();
    const eviction = await this.#events.evict(this.#target);
    if (eviction.kind === 'done') {
      this.element.close();
      announce(eviction.locks === 1 ? 'Evicted 1 lock.' : `Evicted ${eviction.locks} locks.`);
    } else if (eviction.kind === 'forbidden') {
      this.#tokenForm.ask(eviction.reason);
    } else {
      setText(this.#result, eviction.reason);
      this.#evictButton.disabled = false;
    }
  }
}

const WARNING =
  'The client is notified, but may not know it yet when the next one has the lock. What it ' +
  'still does must be fenced off by the lock’s id.';

function listOf(texts: readonly string[], otherwise: string): HTMLElement {
  if (texts.length === 0) return h('p', {}, otherwise);
  const items = texts.slice(0, MAX_LISTED).map((text) => h('li', {}, text));
  const more = texts.length - items.length;
  return h('ul', {}, ...items, more > 0 ? h('li', {}, `and ${more} more`) : undefined);
}
