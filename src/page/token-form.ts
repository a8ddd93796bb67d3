/**
 * Asks for a token. What is typed is kept in memory alone, and no browser is to offer to keep it.
 */
import { h, setText } from './dom.ts';

let forms = 0;

export class TokenForm {
  readonly element: HTMLFormElement;
  readonly #reason = h('p');
  readonly #input: HTMLInputElement;

  /** @param action what the button says */
  constructor(label: string, action: string, onToken: (token: string) => void) {
    const id = `token-${++forms}`;
    this.#input = h('input', {
      ...{ id, type: 'password', autocomplete: 'off', spellcheck: 'false', required: true },
    });
    const submit = h('button', { type: 'submit', class: 'primary' }, action);
    const field = h('div', { class: 'field' }, h('label', { for: id }, label), this.#input);
    this.element = h('form', { class: 'token' }, this.#reason, field, submit);
    this.element.hidden = true;
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      const token = this.#input.value.trim();
      this.#input.value = '';
      if (token !== '') onToken(token);
    });
  }

  /** @param reason why it asks, as a sentence */
  ask(reason: string): void {
    setText(this.#reason, reason);
    const wasHidden = this.element.hidden;
    this.element.hidden = false;
    if (wasHidden) this.#input.focus();
  }

  hide(): void {
    this.element.hidden = true;
  }
}
