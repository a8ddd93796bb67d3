/**
 * The parameters of a round. Each round draws its own vocabulary, times and odds, many of them
 * zero: that reaches states which the same odds for all rounds never would.
 */
import { Buffer } from 'node:buffer';
import { DEFAULT_LIMITS, type Limits } from '../../src/runtime/limits.ts';
import type { Resource } from '../../src/table/resource.ts';
import type { Random } from '../support/random.ts';
import { type Nonsense, nonsense } from './requests.ts';

export type Step =
  | 'lock'
  | 'release'
  | 'cancel'
  | 'extend'
  | 'retry'
  | 'look'
  | 'watch'
  | 'evict'
  | 'lie'
  | 'bye'
  | 'cut'
  | 'takeover'
  | 'stall'
  | 'up'
  | 'down'
  | 'notice'
  | 'time';

export interface Swarm {
  readonly clients: number;
  readonly steps: number;
  readonly v1Per10: number;
  readonly unnamedPer10: number;
  readonly namespaces: readonly string[];
  readonly segments: readonly string[];
  readonly depth: number;
  readonly resources: number;
  readonly writesPer10: number;
  readonly limitsPer10: number;
  readonly refsPer10: number;
  /** Actions without an entry are never sent. */
  readonly waitsMs: readonly (number | undefined)[];
  readonly holdsMs: readonly (number | undefined)[];
  readonly owners: readonly (string | undefined)[];
  readonly abandonsMs: readonly number[];
  readonly heartbeatsMs: readonly (number | undefined)[];
  readonly jumpMs: number;
  readonly locksPerClient: number;
  /** The number of messages after which all others have a turn, costly or not. */
  readonly yieldsPer10: number;
  readonly limits: Limits;
  readonly odds: readonly Step[];
  /** The step at which the server begins to drain; undefined for never. */
  readonly drainStep: number | undefined;
}

const MAX_MESSAGE_BYTES = 1500;

export function drawSwarm(random: Random): Swarm {
  const clients = random.pick([2, 3, 4, 6, 10, 30, 200]);
  const steps = clients > 10 ? 6000 : 1500;
  return {
    clients,
    steps,
    drainStep: random.oneIn(4) ? steps - 1 - random.below(500) : undefined,
    v1Per10: random.pick([0, 0, 2, 10]),
    unnamedPer10: random.pick([0, 2, 10]),
    namespaces: random.pick([['default'], ['default', 'x'], ['y', 'z', 'default']]),
    segments: ['a', 'é', 'c', '😀', '', 'f', 'g', 'h'].slice(0, 1 + random.below(8)),
    depth: random.pick([0, 1, 1, 2, 3]),
    resources: random.pick([1, 1, 2, 4]),
    writesPer10: random.pick([0, 2, 5, 10]),
    limitsPer10: random.pick([0, 0, 5, 10]),
    refsPer10: random.pick([0, 5, 10, 10]),
    waitsMs: random.pick([[undefined], [undefined, 0, 20, 700], [0, 100], [30, 400]]),
    holdsMs: random.pick([[undefined], [undefined, 15, 600], [50, 300]]),
    owners: random.pick([[undefined], [undefined, 'p', 'q'], ['p', 'q', 'r', 's']]),
    abandonsMs: random.pick([[0], [200], [0, 60, 1000], [100_000], [40, 5000]]),
    heartbeatsMs: random.pick([[undefined], [undefined, 37, 1009], [211]]),
    jumpMs: random.pick([2, 20, 200, 2000]),
    yieldsPer10: random.pick([0, 1, 5]),
    locksPerClient: random.pick([1, 3, 12]),
    limits: {
      ...DEFAULT_LIMITS,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      maxUnreadBytes: random.pick([1000, 4000, DEFAULT_LIMITS.maxUnreadBytes]),
      maxLocksPerSession: random.pick([3, 10_000]),
      maxWaitersPerNamespace: random.pick([4, 1_000_000, 1_000_000]),
      maxWatches: random.pick([1, 100]),
    },
    odds: drawOdds(random),
  };
}

function drawOdds(random: Random): Step[] {
  const sometimes = (...weights: number[]): number => random.pick(weights);
  const weights: Readonly<Record<Step, number>> = {
    lock: sometimes(8, 16),
    release: sometimes(0, 8, 16),
    cancel: sometimes(0, 2, 8),
    extend: sometimes(0, 0, 4),
    retry: sometimes(0, 0, 3),
    look: sometimes(0, 0, 2),
    watch: sometimes(0, 0, 1),
    evict: sometimes(0, 0, 1),
    lie: sometimes(0, 0, 2),
    bye: sometimes(0, 0, 1),
    cut: sometimes(0, 1, 4),
    takeover: sometimes(0, 0, 2),
    stall: sometimes(0, 0, 1),
    up: sometimes(10, 20),
    down: sometimes(10, 20),
    notice: sometimes(1, 4),
    time: sometimes(0, 1, 2, 8),
  };
  return stepsOf(weights);
}

/** Each step as often as its weight says. */
export function stepsOf(weights: Readonly<Partial<Record<Step, number>>>): Step[] {
  return (Object.keys(weights) as Step[]).flatMap((step) =>
    Array.from({ length: weights[step] ?? 0 }, () => step),
  );
}

export function drawResources(random: Random, swarm: Swarm): Resource[] {
  return Array.from({ length: 1 + random.below(swarm.resources) }, () => {
    const length = random.oneIn(20) ? 0 : random.below(swarm.depth + 1);
    const path = Array.from({ length }, () => random.pick(swarm.segments));
    if (random.below(10) < swarm.writesPer10) return { type: 'write', path };
    if (random.below(10) >= swarm.limitsPer10) return { type: 'read', path };
    return { type: 'read', path, limit: 1 + random.below(3) };
  });
}

const LIES: readonly Nonsense[] = [
  nonsense('{"action":"lock","resources":', 'bad_json'),
  nonsense('"lock"', 'bad_json'),
  nonsense('[]', 'bad_json'),
  nonsense('{"action":"lock"}', 'bad_request', 'lock'),
  nonsense('{"action":"lock","resources":[]}', 'bad_request', 'lock'),
  nonsense('{"action":"lock","resources":[{"type":"write","path":[1]}]}', 'bad_request', 'lock'),
  nonsense('{"action":"fly"}', 'unknown_action'),
  nonsense('{"action":"release","id":7}', 'bad_request', 'release'),
  nonsense('{"action":"release","id":"0x10"}', 'bad_request', 'release'),
  nonsense('{"action":"extend"}', 'bad_request', 'extend'),
  nonsense('{"action":"extend","holdMs":0}', 'bad_request', 'extend'),
  nonsense('{"action":"hello","session":"s","label":"l"}', 'bad_request', 'hello'),
  nonsense('{"action":"evict","id":"1","sessionId":"1"}', 'bad_request', 'evict'),
  nonsense('{"action":"namespaces","after":1}', 'bad_request', 'namespaces'),
  nonsense('{"action":"watch","path":"a"}', 'bad_request', 'watch'),
  nonsense('{"action":"ping","\xff":1}', 'bad_utf8'),
  { ...nonsense('', 'message_too_long'), bytes: Buffer.alloc(MAX_MESSAGE_BYTES + 1, '{') },
];

export function drawLie(random: Random): Nonsense {
  return random.pick(LIES);
}

/** One of `items`, some of which are undefined. */
export function drawSome<T>(random: Random, items: readonly (T | undefined)[]): T | undefined {
  return items[random.below(items.length)];
}
