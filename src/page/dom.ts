/**
 * Elements and their texts. Whatever comes from the server gets into the page by here, as text:
 * there is no way to pass markup.
 */

export type Child = Node | string | undefined;

/** Attributes: `true` for one without a value; one that is undefined or false is left out. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** A new element. */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    setAttribute(element, attribute, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Sets it, or removes it; touches the document only if it changes. */
export function setAttribute(
  element: Element,
  name: string,
  value: Attributes[string] | null,
): void {
  const text = value === true ? '' : value === false || value === undefined ? null : String(value);
  if (element.getAttribute(name) === text) return;
  if (text === null) element.removeAttribute(name);
  else element.setAttribute(name, text);
}

/** Touches the document only if it changes: what is selected or read aloud there stays so. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A button; `type` is never that of a form. */
export function button(text: string, onClick: () => void, attributes: Attributes = {}) {
  const element = h('button', { type: 'button', ...attributes }, text);
  element.addEventListener('click', onClick);
  return element;
}

/** The element of the document with that id. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the document lacks #${id}`);
  return element;
}

/** Tells screen readers, when they have finished what they say. */
export function announce(text: string): void {
  const region = byId('announcer');
  // The same text again is news again.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}
