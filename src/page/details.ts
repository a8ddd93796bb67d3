/** The details of one lock: whose it is, and why it waits, down to what is held at the root. */
import type { Client } from '../client/client.ts';
import type { InspectedLock } from '../client/inspect.ts';
import {
  formatAge,
  forText,
  holderText,
  labelText,
  relationText,
  resourceText,
} from '../operators/lock-text.ts';
import { printable } from '../operators/printable.ts';
import { type ChainStep, onlyLock, waitingChain } from '../operators/waiting-chain.ts';
import { button, h, setText } from './dom.ts';

export interface DetailsEvents {
  closed(): void;
  evictLock(id: string): void;
  endSession(id: string): void;
}

/** Locks of the chain that are shown. */
const MAX_STEPS = 25;

export class Details {
  readonly element = h('aside', { class: 'details', 'aria-label': 'Details of a lock' });
  readonly #title = h('h2', { tabindex: -1 });
  readonly #facts = h('dl', { class: 'facts' });
  readonly #chainTitle = h('h3');
  readonly #verdict = h('p', { class: 'verdict' });
  readonly #chain = h('ol', { class: 'chain' });
  readonly #buttons: HTMLElement;
  readonly #closed: () => void;
  #id: string | undefined;
  #isAsking = false;

  constructor(events: DetailsEvents) {
    this.element.hidden = true;
    const close = button('Close', () => this.close(), { class: 'close' });
    this.#buttons = h(
      'div',
      { class: 'buttons' },
      button('Evict this lock…', () => events.evictLock(this.#id ?? ''), { class: 'danger' }),
      button('End its session…', () => events.endSession(this.#id ?? ''), { class: 'danger' }),
    );
    const top = h('div', { class: 'head' }, this.#title, close);
    this.element.append(top, this.#facts, this.#chainTitle, this.#verdict, this.#chain);
    this.element.append(this.#buttons);
    this.element.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') this.close();
    });
    this.#closed = () => events.closed();
  }

  get id(): string | undefined {
    return this.#id;
  }

  open(id: string, client: Client | undefined): void {
    this.#id = id;
    this.element.hidden = false;
    setText(this.#title, `Lock ${id}`);
    for (const part of [this.#facts, this.#chain]) part.replaceChildren();
    for (const part of [this.#chainTitle, this.#verdict]) setText(part, '');
    this.#buttons.hidden = true;
    this.#title.focus({ preventScroll: true });
    this.element.scrollIntoView({ block: 'nearest' });
    void this.refresh(client);
  }

  close(): void {
    if (this.#id === undefined) return;
    this.hide();
    this.#closed();
  }

  hide(): void {
    this.#id = undefined;
    this.element.hidden = true;
  }

  /** Asks again; not while text in it is selected, which would be lost. */
  async refresh(client: Client | undefined): Promise<void> {
    const id = this.#id;
    if (id === undefined || client === undefined || this.#isAsking || isSelected(this.element)) {
      return;
    }
    this.#isAsking = true;
    try {
      const steps = await stepsOf(id, client);
      if (id === this.#id) this.#show(steps);
    } catch {
      // Disconnected, or closed: what is shown stays, and the page says so.
    } finally {
      this.#isAsking = false;
    }
    // Another lock was opened meanwhile.
    if (this.#id !== undefined && id !== this.#id) await this.refresh(client);
  }

  #show(steps: readonly ChainStep[]): void {
    const [first] = steps;
    this.#buttons.hidden = first === undefined;
    if (first === undefined) {
      this.#chain.replaceChildren();
      setText(this.#chainTitle, '');
      setText(this.#verdict, 'This lock has ended.');
      return;
    }
    const { lock } = first;
    this.#facts.replaceChildren(...factsOf(lock));
    const isWaiting = lock.state === 'enqueued';
    setText(this.#chainTitle, isWaiting ? 'Why it waits' : '');
    setText(this.#verdict, isWaiting ? verdictOf(steps) : 'It is held, and waits for nothing.');
    this.#chain.replaceChildren(...(isWaiting ? steps.slice(1).map(stepElement) : []));
  }
}

async function stepsOf(id: string, client: Client): Promise<ChainStep[]> {
  const find = (lockId: string) => onlyLock(client.inspect({ id: lockId }));
  const first = await find(id);
  const steps: ChainStep[] = [];
  if (first === undefined) return steps;
  for await (const step of waitingChain(first, find)) {
    steps.push(step);
    if (steps.length === MAX_STEPS) break;
  }
  return steps;
}

function factsOf(lock: InspectedLock): HTMLElement[] {
  const state = lock.state === 'acquired' ? 'held' : 'waiting';
  const more = lock.moreResources === 0 ? [] : [`and ${lock.moreResources} more`];
  const resources = [...lock.resources.map(resourceText), ...more];
  return [
    fact('State', `${state} for ${forText(lock)}`),
    fact('Locks', ...resources),
    fact('Client', lock.session === undefined ? undefined : printable(lock.session), lock.client),
    fact('Session', lock.sessionId),
    fact('Label', labelText(lock) || undefined),
    fact('Connection', lossText(lock)),
  ].flat();
}

/** Nothing if there is no text. */
function fact(name: string, ...texts: readonly (string | undefined)[]): HTMLElement[] {
  const known = texts.filter((text) => text !== undefined);
  if (known.length === 0) return [];
  return [h('dt', {}, name), ...known.map((text) => h('dd', {}, text))];
}

function lossText({ lost, abandonedInMs }: InspectedLock): string | undefined {
  if (!lost) return undefined;
  if (abandonedInMs === undefined) return 'lost';
  return `lost: its locks are kept for ${formatAge(abandonedInMs)} more`;
}

function verdictOf(steps: readonly ChainStep[]): string {
  const held = steps.filter(({ lock }) => lock.state === 'acquired');
  const [root] = held;
  if (root === undefined) {
    return steps.length === MAX_STEPS
      ? `More than ${MAX_STEPS} locks are in front of it.`
      : 'What it waited for is gone.';
  }
  const others = held.length === 1 ? '' : `, and ${held.length - 1} more`;
  return `Held up by ${holderText(root.lock)}, for ${formatAge(root.lock.forMs)}${others}.`;
}

function stepElement({ lock, blocks, depth }: ChainStep): HTMLElement {
  const isHeld = lock.state === 'acquired';
  const state = isHeld ? 'held' : 'waiting';
  const loss = lossText(lock);
  const about = [
    lock.resources.map(resourceText).join(' '),
    blocks === undefined ? '' : relationText(blocks),
    labelText(lock),
    `lock ${lock.id}`,
  ].filter((text) => text !== '');
  const item = h(
    'li',
    { class: 'step' },
    h('span', { class: `mark ${state}${lock.lost ? ' lost' : ''}`, 'aria-hidden': 'true' }),
    h('strong', {}, `${holderText(lock)} ${isHeld ? 'holds' : 'waits'}, for ${forText(lock)}`),
    h('span', { class: 'about' }, about.join(' · ')),
    loss === undefined ? undefined : h('span', { class: 'loss' }, loss),
  );
  item.style.setProperty('--depth', String(Math.min(depth, 8)));
  return item;
}

function isSelected(element: Element): boolean {
  const selection = document.getSelection();
  if (selection === null || selection.isCollapsed) return false;
  return element.contains(selection.anchorNode);
}
