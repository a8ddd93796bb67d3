/**
 * Load at full speed with everything new all the time: connections, namespaces, sessions, paths.
 * Most clients come to a namespace of their own, some to one where all meet; they leave in all ways
 * there are, some with locks that they hold or wait for.
 */

import { Link } from '../chaos/link.ts';
import { Random } from '../support/random.ts';

/** Lock and release, that often, in one go. */
const PAIRS = 40;
const ABANDON_MS = [0, 50, 500];

interface Life {
  readonly isV1: boolean;
  readonly namespace: string;
  readonly abandonTimeoutMs: number;
}

export class Load {
  readonly #port: number;
  readonly #random: Random;
  #lives = 0;
  /** Locks that were asked for and answered. */
  locks = 0;
  isOver = false;

  constructor(port: number, seed: number) {
    this.#port = port;
    this.#random = new Random(seed);
  }

  get connections(): number {
    return this.#lives;
  }

  /** Keeps that many clients busy until `isOver`. */
  async run(places: number): Promise<void> {
    await Promise.all(
      Array.from({ length: places }, async () => {
        while (!this.isOver) await this.#live(++this.#lives);
      }),
    );
  }

  /** One connection, from the first byte until it is closed. */
  #live(n: number): Promise<void> {
    const random = this.#random;
    const life: Life = {
      isV1: random.oneIn(3),
      namespace: random.oneIn(3) ? 'square' : `home-${n}`,
      abandonTimeoutMs: random.pick(ABANDON_MS),
    };
    const { namespace, abandonTimeoutMs } = life;
    const query = `?namespace=${namespace}&abandon-timeout-ms=${abandonTimeoutMs}`;
    const target = life.isV1 ? `/v1${query}` : random.oneIn(2) ? '/v2' : undefined;
    return new Promise((resolve) => {
      let left = PAIRS;
      const link = new Link(this.#port, target, {
        opened: () => {
          if (!life.isV1) {
            link.send({ action: 'hello', namespace, abandonTimeoutMs });
            if (random.oneIn(4)) link.send({ action: 'watch' });
          }
          for (let pair = 0; pair < PAIRS; pair++) this.#sendPair(link, n, pair);
        },
        reply: ({ action }) => {
          if (action !== 'release') return;
          this.locks++;
          if (--left === 0) this.#leave(link, life);
        },
        broke: resolve,
      });
    });
  }

  #sendPair(link: Link, n: number, pair: number): void {
    const fresh = { type: 'write', path: ['fresh', `${n}`, `${pair}`] };
    const shared = { type: this.#random.oneIn(8) ? 'write' : 'read', path: ['shared', 'a'] };
    link.send({ action: 'lock', resources: [fresh, shared] });
    link.send({ action: 'release' });
  }

  #leave(link: Link, { isV1 }: Life): void {
    if (this.#random.oneIn(2)) {
      link.send({ action: 'lock', resources: [{ type: 'write', path: ['left', 'behind'] }] });
    }
    if (!isV1 && this.#random.oneIn(2)) link.send({ action: 'bye' });
    else if (this.#random.oneIn(2)) link.halfClose();
    else link.destroy();
  }
}
