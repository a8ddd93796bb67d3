/**
 * What the generator says in each language, and where in the answers it must look. Ids have 16
 * digits, so every answer has a known length, and nothing need be parsed.
 */
import { Buffer } from 'node:buffer';
import { text } from '../support/websocket-frames.ts';

/** `session` and `v1` are ours; `echo` is v1 as a WebSocket echo server answers; `redis` is RESP. */
export type Language = 'session' | 'v1' | 'echo' | 'redis';

export interface CycleText {
  readonly lock: Buffer;
  readonly release: Buffer;
  /** Bytes of the answer to each. */
  readonly lockReplyBytes: number;
  readonly releaseReplyBytes: number;
  /** Where the answer to `lock` has the id, and where `release` wants it. */
  readonly id: { readonly from: number; readonly to: number } | undefined;
}

export interface ResourceText {
  readonly type: 'read' | 'write';
  readonly path: readonly string[];
  readonly limit?: number;
}

type Ref = string | number;

/** How a lock request differs from the plainest one, by name. */
const SPELLINGS = {
  plain: {},
  'string ref': { ref: (ref: number) => `job-${ref}` },
  'long ref': { ref: (ref: number) => `4fc3d1b2-8e8c-4c7e-9d4b-0000000000${ref}` },
  owner: { terms: (ref: number) => ({ owner: `worker ${ref}` }) },
  limit: {
    resource: ({ path }: ResourceText): ResourceText => ({ type: 'read', path, limit: 4 }),
  },
  waitMs: { terms: () => ({ waitMs: 5000 }) },
  // As Python's json.dumps has them.
  blanks: { text: (json: string) => json.replaceAll(/(?<=")[:]|,/g, '$& ') },
  'non-ASCII': {
    resource: ({ type, path }: ResourceText) => ({ type, path: path.map((name) => `${name}号`) }),
  },
} satisfies Record<string, SpellingRules>;

interface SpellingRules {
  readonly ref?: (ref: number) => Ref;
  readonly terms?: (ref: number) => object;
  readonly resource?: (resource: ResourceText) => ResourceText;
  readonly text?: (json: string) => string;
}

export type Spelling = keyof typeof SPELLINGS;

export const SPELLING_NAMES = Object.keys(SPELLINGS) as readonly Spelling[];

/** The first segment of what is locked over and over. */
export const PARENT = 'orders';

export const ID = '1795475605972001';

const ID_FIELD = '"id":"';
const FRAME_HEAD_BYTES = 2;

/** The session protocol's answer to a lock request with a `ref`. */
export function lockReply(ref?: Ref): string {
  const refField = ref === undefined ? '' : `"ref":${JSON.stringify(ref)},`;
  return `{"action":"lock",${refField}"id":"${ID}","state":"acquired"}`;
}

export const RELEASE_REPLY = `{"action":"release","id":"${ID}","state":"released"}`;

export function lockRequest(resources: readonly ResourceText[], ref?: Ref, terms = {}): string {
  return JSON.stringify({ action: 'lock', ref, resources, ...terms });
}

/** One cycle of the session protocol; with a `ref` the release names the lock. */
export function sessionCycle(
  resources: readonly ResourceText[],
  ref?: number,
  spelling: Spelling = 'plain',
): CycleText {
  const rules: SpellingRules = SPELLINGS[spelling];
  const asText = rules.text ?? String;
  const refText = ref === undefined ? undefined : (rules.ref?.(ref) ?? ref);
  const spelt = resources.map((resource) => rules.resource?.(resource) ?? resource);
  const lock = asText(lockRequest(spelt, refText, rules.terms?.(ref ?? 0)));
  const reply = lockReply(refText);
  const id = ref === undefined ? undefined : ID;
  const release = asText(JSON.stringify({ action: 'release', id }));
  return {
    lock: Buffer.from(`${lock}\n`),
    release: Buffer.from(`${release}\n`),
    lockReplyBytes: reply.length + 1,
    releaseReplyBytes: RELEASE_REPLY.length + 1,
    id:
      ref === undefined
        ? undefined
        : {
            from: reply.indexOf(ID_FIELD) + ID_FIELD.length,
            to: release.indexOf(ID),
          },
  };
}

/** The same cycle for a floor that answers both with the answer to the lock. */
export function floorCycle(resources: readonly ResourceText[], ref?: number): CycleText {
  const cycle = sessionCycle(resources, ref);
  return { ...cycle, releaseReplyBytes: cycle.lockReplyBytes };
}

export function v1Cycle(resources: readonly ResourceText[]): CycleText {
  return {
    lock: text(lockRequest(resources)),
    release: text('{"action":"release"}'),
    lockReplyBytes: FRAME_HEAD_BYTES + `{"id":"${ID}","action":"lock","state":"acquired"}`.length,
    releaseReplyBytes:
      FRAME_HEAD_BYTES + `{"id":"${ID}","action":"release","state":"ready"}`.length,
    id: undefined,
  };
}

/** Frames of a client have a mask of four bytes, which those of the server don't. */
export function echoCycle(resources: readonly ResourceText[]): CycleText {
  const cycle = v1Cycle(resources);
  return {
    ...cycle,
    lockReplyBytes: cycle.lock.length - 4,
    releaseReplyBytes: cycle.release.length - 4,
  };
}

/** Removes the key if it still has our value: the way to release that Redis documents. */
export const COMPARE_AND_DELETE =
  "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";

/** @param sha what Redis calls the script */
export function redisCycle(resources: readonly ResourceText[], sha: string): CycleText {
  const key = resources.map(({ path }) => path.join('/')).join(' ');
  return {
    lock: resp('SET', key, ID, 'NX', 'PX', '60000'),
    release: resp('EVALSHA', sha, '1', key, ID),
    lockReplyBytes: '+OK\r\n'.length,
    releaseReplyBytes: ':1\r\n'.length,
    id: undefined,
  };
}

export function resp(...words: string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join('')}`);
}
