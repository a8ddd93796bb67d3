/** The choice of the namespace that is shown. */
import type { Client } from '../client/client.ts';
import type { ListedNamespace } from '../client/inspect.ts';
import { printable } from '../operators/printable.ts';
import { h } from './dom.ts';

/** Namespaces that are offered; further ones can be named in the address of the page. */
const MAX_OFFERED = 500;

export class NamespaceChooser {
  readonly element = h('select', { id: 'namespace' });
  #chosen = '';

  constructor(onChoice: (namespace: string) => void) {
    this.element.addEventListener('change', () => onChoice(this.element.value));
  }

  /** Shows `namespace` as the chosen one. */
  choose(namespace: string): void {
    this.#chosen = namespace;
    this.#offer([]);
  }

  /** Offers what there is now. Not while it is open: the choice must not change under the hand. */
  async refresh(client: Client): Promise<readonly ListedNamespace[]> {
    const listed: ListedNamespace[] = [];
    for await (const namespace of client.namespaces()) {
      listed.push(namespace);
      if (listed.length === MAX_OFFERED) break;
    }
    if (document.activeElement !== this.element) this.#offer(listed);
    return listed;
  }

  #offer(listed: readonly ListedNamespace[]): void {
    const isListed = listed.some(({ namespace }) => namespace === this.#chosen);
    const chosen = isListed ? [] : [h('option', { value: this.#chosen }, printable(this.#chosen))];
    const options = listed.map(({ namespace, locks }) => {
      const counts = `${locks.acquired} held, ${locks.enqueued} waiting`;
      return h('option', { value: namespace }, `${printable(namespace)} (${counts})`);
    });
    this.element.replaceChildren(...chosen, ...options);
    this.element.value = this.#chosen;
  }
}

/** Where something happens: the namespace with most waiting locks, or else with most held ones. */
export function busiest(listed: readonly ListedNamespace[]): string | undefined {
  const [first] = listed
    .filter(({ locks }) => locks.acquired + locks.enqueued > 0)
    .sort((a, b) => b.locks.enqueued - a.locks.enqueued || b.locks.acquired - a.locks.acquired);
  return first?.namespace;
}
