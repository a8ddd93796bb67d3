/**
 * Odd values: strange strings, numbers at the limits, JSON of the wrong kind. All are JSON text, as
 * much of it (1e400, the same key twice) is not a JavaScript value.
 */
import type { Random } from '../support/random.ts';

/** Names with a meaning in JavaScript, terminals or paths, or that are not well-formed text. */
const ODD_STRINGS = [
  '',
  ' ',
  '\0',
  '\n',
  '\r\n',
  '\u2028',
  '\ufeff',
  '\ufffd',
  '\ud800',
  '\udfff',
  '\udc00\ud800',
  'é',
  'e\u0301',
  '🐙',
  '"',
  '\\',
  '/',
  '..',
  '*',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'null',
  'undefined',
  'NaN',
  '0',
  '-1',
  '1e3',
  '9007199254740993',
  '\u001b[2J',
  '%s%n',
];

const ODD_NUMBERS = [
  '0',
  '-0',
  '1',
  '-1',
  '0.5',
  '1.0',
  '1e3',
  '1e21',
  '1e-400',
  '1e400',
  '-1e400',
  '2147483647',
  '2147483648',
  '4294967296',
  '9007199254740991',
  '9007199254740992',
  '9007199254740993',
  `1${'0'.repeat(400)}`,
  `0.${'0'.repeat(400)}1`,
];

/** Texts that look like JSON but are not. */
const BROKEN = [
  '01',
  '+1',
  '.5',
  '1.',
  'NaN',
  'Infinity',
  "'a'",
  'tru',
  '',
  '"',
  '\\u0041',
  '[1,]',
];

const MAX_LENGTH = 2000;
const MAX_DEPTH = 1500;

export function oddString(random: Random): string {
  if (random.oneIn(6)) return random.pick(ODD_STRINGS).repeat(1 + random.below(4));
  if (random.oneIn(12))
    return random.pick(['x', 'é', '🐙', '\ud800']).repeat(random.below(MAX_LENGTH));
  return random.pick(ODD_STRINGS);
}

export function oddNumber(random: Random): string {
  return random.pick(ODD_NUMBERS);
}

/** Any JSON text; rarely a text that is not JSON. */
export function oddJson(random: Random): string {
  switch (random.below(9)) {
    case 0:
    case 1:
      return JSON.stringify(oddString(random));
    case 2:
    case 3:
      return oddNumber(random);
    case 4:
      return random.pick(['true', 'false', 'null', '{}', '[]', '[[]]', '[null]', '{"":{}}']);
    case 5:
      return nested(random);
    case 6:
      return `[${Array.from({ length: random.below(8) }, () => oddJson(random)).join(',')}]`;
    case 7:
      return `{${JSON.stringify(oddString(random))}:${oddNumber(random)}}`;
    default:
      return random.oneIn(4) ? random.pick(BROKEN) : 'null';
  }
}

/** Deeply nested values; now and then not closed. */
function nested(random: Random): string {
  const depth = random.oneIn(4) ? random.below(MAX_DEPTH) : random.below(8);
  const [open, close] = random.pick([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"path":', '}]'],
  ]);
  const end = random.oneIn(8) ? '' : close.repeat(depth);
  return `${open.repeat(depth)}${random.pick(['1', 'null', '""', '[]'])}${end}`;
}
