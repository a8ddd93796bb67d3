/** Colours on a terminal. */

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof CODES;

/** `text` in a style, or as it is where there are no colours. */
export type Paint = (style: Style | undefined, text: string) => string;

export const PLAIN: Paint = (_style, text) => text;

const COLOURED: Paint = (style, text) =>
  style === undefined || text === '' ? text : `\x1b[${CODES[style]}m${text}\x1b[0m`;

/** Colours if the output is a terminal that has them, and `NO_COLOR` is unset or empty. */
export function paintFor(
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  const { NO_COLOR = '', TERM = '' } = env;
  return isTerminal && NO_COLOR === '' && TERM !== 'dumb' ? COLOURED : PLAIN;
}
