/**
 * Messages of both protocols as text: valid ones, and valid ones with a fault. The actions are the
 * server's own list, and the fields of each come from its decoder, so that additions there are
 * tried here.
 */
import { ACTION_NAMES, type Action } from '../../src/protocol/actions/table.ts';
import { decodeRequest, isInvalid } from '../../src/protocol/decode.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import type { Random } from '../support/random.ts';
import { oddJson, oddNumber, oddString } from './oddities.ts';

/** Names and ids in use in this round, which messages often contain. */
export interface Vocabulary {
  readonly namespaces: readonly string[];
  readonly segments: readonly string[];
  /** Ids of other clients' locks. */
  readonly ids: readonly string[];
  /** Names of sessions: one that may be resumed, and some that are nearly another client's. */
  readonly sessions: readonly string[];
  /** A valid token, if there is any, and some that are nearly valid. */
  readonly tokens: readonly string[];
  /** Whether authentication is required. */
  readonly isGuarded: boolean;
}

/** The parts of a message: fields in order, values as JSON text. */
type Draft = [field: string, json: string][];

/** The fields of each action, from the decoder's error about an unknown field. */
const FIELDS: ReadonlyMap<Action, readonly string[]> = new Map(
  ACTION_NAMES.map((action) => {
    const decoded = decodeRequest(JSON.stringify({ action, '?': 0 }), DEFAULT_LIMITS);
    const said = isInvalid(decoded) ? decoded.error.message : '';
    const fields = said.split('known are ')[1]?.split(', ') ?? [];
    if (fields.length === 0) throw new Error(`no fields of ${action} in: ${said}`);
    return [action, fields.filter((field) => field !== 'action')];
  }),
);

/** The required fields of an action. */
const NEEDED: ReadonlySet<string> = new Set(['resources']);

/** Half of all actions are of these: the others have little effect. */
const MOSTLY: readonly Action[] = ['lock', 'lock', 'lock', 'release'];

const MUTATIONS = [drop, repeat, retype, rename, add, renumber, restring, permute];

/** A message of the session protocol. */
export function sessionMessage(
  random: Random,
  vocabulary: Vocabulary,
  oddsOfFault: number,
): string {
  const action = random.oneIn(2) ? random.pick(MOSTLY) : random.pick(ACTION_NAMES);
  const draft: Draft = [['action', JSON.stringify(action)]];
  for (const field of FIELDS.get(action) ?? []) {
    if (!NEEDED.has(field) && !random.oneIn(3)) continue;
    draft.push([field, goodValue(random, vocabulary, field)]);
  }
  return finish(random, draft, oddsOfFault);
}

/** A message of v1. */
export function v1Message(random: Random, vocabulary: Vocabulary, oddsOfFault: number): string {
  const action = random.pick(['lock', 'release']);
  const draft: Draft = [['action', JSON.stringify(action)]];
  if (action === 'lock') draft.push(['resources', resources(random, vocabulary)]);
  return finish(random, draft, oddsOfFault);
}

function finish(random: Random, draft: Draft, oddsOfFault: number): string {
  if (random.below(10) >= oddsOfFault) return textOf(random, draft);
  for (let count = 1 + random.below(3); count > 0; count--) random.pick(MUTATIONS)(random, draft);
  const text = textOf(random, draft);
  return random.oneIn(6) ? misshapen(random, text) : text;
}

function textOf(random: Random, draft: Draft): string {
  const entries = random.oneIn(4) ? shuffled(random, draft) : draft;
  const space = random.oneIn(8) ? random.pick([' ', '\t', '\r', ' \t ']) : '';
  return `${space}{${entries.map(([field, json]) => `${JSON.stringify(field)}:${space}${json}`).join(',')}}${space}`;
}

/** A valid value of a field; any value for a field that is not known here. */
function goodValue(random: Random, words: Vocabulary, field: string): string {
  switch (field) {
    case 'ref':
      return random.pick(['1', '2', '"a"', '"__proto__"', '""', '-7']);
    case 'resources':
      return resources(random, words);
    case 'path':
      return path(random, words);
    case 'id':
    case 'after':
      return JSON.stringify(random.pick(words.ids));
    case 'namespace':
      return JSON.stringify(
        random.oneIn(20) ? 'n'.repeat(random.pick([41, 1025])) : random.pick(words.namespaces),
      );
    case 'session':
      return JSON.stringify(random.pick(words.sessions));
    case 'token':
      return JSON.stringify(random.pick(words.tokens));
    case 'owner':
    case 'label':
      return random.pick(['"p"', '"q"', '"__proto__"']);
    case 'max':
      return random.pick(['1', '2', '1000']);
    case 'holdMs':
      return random.pick(['1', '40', '20000', '9007199254740991', 'null']);
    default:
      if (field.endsWith('Ms')) return random.pick(['0', '1', '40', '20000', '9007199254740991']);
      return random.pick(['"x"', '1', 'true', JSON.stringify(oddString(random))]);
  }
}

function resources(random: Random, words: Vocabulary): string {
  const length = random.oneIn(10) ? random.below(9) : 1 + random.below(2);
  return `[${Array.from({ length }, () => resource(random, words)).join(',')}]`;
}

function resource(random: Random, words: Vocabulary): string {
  const type = random.pick(['read', 'write', 'r', 'w', 'READ', 'Write']);
  const limit = random.oneIn(4) && type !== 'write' ? `,"limit":${1 + random.below(3)}` : '';
  return `{"type":"${type}","path":${path(random, words)}${limit}}`;
}

function path(random: Random, words: Vocabulary): string {
  const length = random.oneIn(12) ? random.below(9) : random.below(4);
  const segments = Array.from({ length }, () => random.pick(words.segments));
  if (random.oneIn(60)) segments.push('é'.repeat(random.pick([20, 21, 512, 513])));
  return JSON.stringify(segments);
}

function drop(random: Random, draft: Draft): void {
  draft.splice(random.below(draft.length), 1);
}

/** The same field twice: JSON lets the last one win. */
function repeat(random: Random, draft: Draft): void {
  const entry = draft[random.below(draft.length)];
  if (entry !== undefined) draft.push([entry[0], random.oneIn(2) ? entry[1] : oddJson(random)]);
}

function retype(random: Random, draft: Draft): void {
  change(random, draft, () => oddJson(random));
}

function rename(random: Random, draft: Draft): void {
  const entry = draft[random.below(draft.length)];
  if (entry === undefined) return;
  const [field] = entry;
  entry[0] = random.pick([field.toUpperCase(), `${field} `, field.slice(1), oddString(random)]);
}

function add(random: Random, draft: Draft): void {
  draft.push([oddString(random), oddJson(random)]);
}

/** Replaces a number in it, at any position. */
function renumber(random: Random, draft: Draft): void {
  change(random, draft, (json) => json.replace(/-?\d+/, () => oddNumber(random)));
}

/** Replaces a string in it, perhaps a key. */
function restring(random: Random, draft: Draft): void {
  change(random, draft, (json) => {
    let skip = random.below(4);
    return json.replace(/"[^"\\]*"/g, (text) =>
      skip-- === 0 ? JSON.stringify(oddString(random)) : text,
    );
  });
}

/** Reorders the parts between the commas of one value. */
function permute(random: Random, draft: Draft): void {
  change(random, draft, (json) => shuffled(random, json.split(',')).join(','));
}

function change(random: Random, draft: Draft, how: (json: string) => string): void {
  const entry = draft[random.below(draft.length)];
  if (entry !== undefined) entry[1] = how(entry[1]);
}

/** More than, less than, or something other than one JSON object. */
function misshapen(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  return random.pick([
    `${text}${text}`,
    `[${text}]`,
    `\ufeff${text}`,
    `${text}\0`,
    text.slice(0, at),
    text.slice(at),
    `${text.slice(0, at)}\r${text.slice(at)}`,
    `${text.slice(0, at)}${text}${text.slice(at)}`,
    JSON.stringify(text),
    oddJson(random),
  ]);
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const left = [...items];
  const order: T[] = [];
  while (left.length > 0) order.push(...left.splice(random.below(left.length), 1));
  return order;
}
