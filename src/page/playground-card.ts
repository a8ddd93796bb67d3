/** One connection of the playground: what it may lock, its locks, and all that is said on it. */
import type { Resource } from '../client/resources.ts';
import { formatAge, resourceText } from '../operators/lock-text.ts';
import { button, h, setAttribute, setText } from './dom.ts';
import type { OwnLock } from './own-locks.ts';
import type { Message, RawConnection } from './raw-connection.ts';
import { parseTyped } from './typed-resources.ts';

const DIRECTIONS: Readonly<Record<Message['direction'], readonly [string, string]>> = {
  sent: ['→', 'sent: '],
  received: ['←', 'received: '],
  note: ['·', ''],
};

export class PlaygroundCard {
  readonly element: HTMLElement;
  readonly connection: RawConnection;
  readonly #status = h('span', { class: 'card-status' });
  readonly #input: HTMLInputElement;
  readonly #chips = h('ul', { class: 'chips' });
  readonly #fault = h('p', { class: 'fault' });
  readonly #lockButton = h('button', { type: 'submit', class: 'primary' }, 'Lock');
  readonly #cutButton: HTMLButtonElement;
  readonly #resumeButton: HTMLButtonElement;
  readonly #locks = h('ul', { class: 'own-locks' });
  readonly #messages: HTMLElement;
  #shownMessages: readonly Message[] = [];
  #shownLocks = '';

  /** @param onRemove ends the connection and takes the card away */
  constructor(connection: RawConnection, typed: string, onRemove: () => void) {
    this.connection = connection;
    const { label } = connection.settings;
    const id = `resources-${label}`;
    this.#input = h('input', {
      ...{ id, value: typed, placeholder: 'w orders/17 r prices', spellcheck: 'false' },
      ...{ autocomplete: 'off', autocapitalize: 'off', 'aria-describedby': `${id}-fault` },
    });
    this.#fault.id = `${id}-fault`;
    this.#input.addEventListener('input', () => this.#showTyped());
    const line = h('div', { class: 'line' }, this.#input, this.#lockButton);
    const field = h('label', { for: id }, 'Resources, w to write, r to read');
    const form = h('form', { class: 'ask' }, field, line, this.#chips, this.#fault);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.ask();
    });
    const named = (name: string) => ({ 'aria-label': `${name} ${label}` });
    this.#cutButton = button('Cut', () => connection.cut(), named('Cut'));
    this.#resumeButton = button('Resume', () => void connection.connect(), named('Resume'));
    const remove = button('Remove', onRemove, named('Remove'));
    const buttons = h('div', { class: 'buttons' }, this.#cutButton, this.#resumeButton, remove);
    this.#messages = h('ol', {
      ...{ class: 'messages', tabindex: 0, role: 'list', 'aria-label': `Messages of ${label}` },
    });
    this.element = h(
      'section',
      { class: 'card', 'aria-label': `Connection ${label}` },
      h('div', { class: 'head' }, h('h2', {}, label), this.#status, buttons),
      ...[form, this.#locks, this.#messages],
    );
    this.#showTyped();
  }

  /** Types for the user, as a scene does. */
  type(text: string): void {
    this.#input.value = text;
    this.#showTyped();
  }

  /** Asks for a lock on what is typed. Resolves when the server has answered. */
  ask(): Promise<void> {
    const resources = parseTyped(this.#input.value);
    const isReady = typeof resources !== 'string' && resources.length > 0;
    if (!isReady || this.connection.state !== 'open') return Promise.resolve();
    return this.connection.lock(resources);
  }

  draw(): void {
    const { state, keptForMs } = this.connection;
    const isOpen = state === 'open';
    setAttribute(this.#status, 'class', `card-status ${state}`);
    setText(this.#status, statusText(state, keptForMs));
    this.#cutButton.hidden = !isOpen;
    this.#resumeButton.hidden = state !== 'cut';
    this.#drawButton();
    this.#drawLocks(isOpen);
    this.#drawMessages();
  }

  #showTyped(): void {
    const typed = parseTyped(this.#input.value);
    const isFault = typeof typed === 'string';
    setText(this.#fault, isFault ? `${typed.charAt(0).toUpperCase()}${typed.slice(1)}.` : '');
    setAttribute(this.#input, 'aria-invalid', isFault ? 'true' : undefined);
    const resources = isFault ? [] : typed;
    this.#chips.replaceChildren(...resources.map((resource, i) => this.#chip(resource, i)));
    this.#drawButton();
  }

  #chip(resource: Resource, index: number): HTMLElement {
    const text = resourceText(resource);
    const remove = button('×', () => this.#removeTyped(index), { 'aria-label': `Remove ${text}` });
    return h('li', { class: `chip ${resource.type}` }, h('span', {}, text), remove);
  }

  #removeTyped(index: number): void {
    const typed = parseTyped(this.#input.value);
    if (typeof typed === 'string') return;
    const rest = typed.filter((_, i) => i !== index).map(resourceText);
    // A path with a blank or a quote in it has to be quoted.
    this.type(
      rest.map((text) => text.replace(/["\s]/g, (character) => `\\${character}`)).join(' '),
    );
    this.#input.focus();
  }

  #drawButton(): void {
    const typed = parseTyped(this.#input.value);
    const isReady = typeof typed !== 'string' && typed.length > 0;
    this.#lockButton.disabled = !isReady || this.connection.state !== 'open';
  }

  #drawLocks(isOpen: boolean): void {
    const locks = this.connection.locks.slice(-MAX_SHOWN);
    const shown = JSON.stringify([isOpen, locks]);
    if (shown === this.#shownLocks) return;
    this.#shownLocks = shown;
    this.#locks.replaceChildren(...locks.map((lock) => this.#lockElement(lock, isOpen)));
  }

  #lockElement({ id, state, text, reason }: OwnLock, isOpen: boolean): HTMLElement {
    const isLive = state === 'held' || state === 'waiting';
    const mark = h('span', { class: `mark ${isLive ? state : 'over'}`, 'aria-hidden': 'true' });
    const words = h('span', { class: 'own-state' }, state === 'asked' ? 'asked…' : state);
    const release = button('Release', () => void this.connection.release(id ?? ''), {
      'aria-label': `Release ${text} of ${this.connection.settings.label}`,
    });
    release.hidden = !isLive || !isOpen;
    const why = reason === undefined ? undefined : h('span', { class: 'reason' }, reason);
    const what = h('span', { class: 'what' }, text);
    return h('li', { class: `own-lock ${state}` }, mark, words, what, release, why);
  }

  #drawMessages(): void {
    const { messages } = this.connection;
    const last = this.#shownMessages.at(-1);
    if (messages.length === this.#shownMessages.length && messages.at(-1) === last) return;
    const first = last === undefined ? 0 : messages.lastIndexOf(last) + 1;
    for (const message of messages.slice(first)) this.#messages.append(messageElement(message));
    while (this.#messages.childElementCount > messages.length) this.#messages.firstChild?.remove();
    this.#shownMessages = [...messages];
    this.#messages.scrollTop = this.#messages.scrollHeight;
  }
}

/** Locks of one connection that are shown. */
const MAX_SHOWN = 8;

function statusText(state: RawConnection['state'], keptForMs: number): string {
  if (state === 'open') return 'connected';
  if (state !== 'cut') return state;
  return keptForMs === 0 ? 'cut' : `cut: its locks are kept for ${formatAge(keptForMs + 999)}`;
}

function messageElement({ direction, text }: Message): HTMLElement {
  const [sign, spoken] = DIRECTIONS[direction];
  return h(
    'li',
    { class: direction === 'note' ? 'remark' : direction },
    h('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
    spoken === '' ? undefined : h('span', { class: 'unseen' }, spoken),
    h('span', {}, ...breakable(text)),
  );
}

/** With places after commas where a line may break. */
function breakable(text: string): (Node | string)[] {
  return text.split(/(?<=,)/).flatMap((part) => [part, h('wbr')]);
}
