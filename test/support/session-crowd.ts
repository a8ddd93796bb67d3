/**
 * Sessions of a few namespaces whose clients do anything at all, step by step, on a fake clock: for
 * what must hold after each step.
 */
import type { Limits } from '../../src/runtime/limits.ts';
import type { SessionLock } from '../../src/session/lock-record.ts';
import type { Session } from '../../src/session/session.ts';
import type { Peer } from '../../src/session/session-host.ts';
import type { Watcher, Watchers } from '../../src/session/watchers.ts';
import type { Path } from '../../src/table/resource.ts';
import type { Random } from './random.ts';
import { read, write } from './resources.ts';
import { setUp } from './session-host.ts';

const DEAF: Watcher = { watched: () => {} };

interface Client {
  readonly session: Session;
  peer: Peer;
}

export class SessionCrowd {
  readonly #random: Random;
  readonly host: ReturnType<typeof setUp>['host'];
  readonly #sessions: ReturnType<typeof setUp>;
  readonly #watchers: Watchers;
  #clients: Client[] = [];
  #refs = 0;
  /** Watched paths of the namespace `shop`. */
  readonly watched = new Map<string, Path>();
  /** Lock requests that made a lock. */
  locks = 0;

  constructor(random: Random, limits: Partial<Limits>) {
    this.#random = random;
    this.#sessions = setUp(limits);
    this.host = this.#sessions.host;
    // It keeps its namespace, and so the watches.
    this.#watchers = this.#sessions.open('keeper').namespace.watchers;
  }

  step(): void {
    this.#sessions.clock.advance(this.#random.below(40));
    if (this.#clients.length < 3) this.#open();
    if (this.#random.oneIn(4)) this.#watch();
    // Those that were lost may have ended just now, to make room.
    this.#clients = this.#clients.filter(({ session }) => session.namespace.sessions.has(session));
    if (this.#clients.length === 0) return;
    const client = this.#random.pick(this.#clients);
    const locks = [...client.session.locks];
    if (locks.length > 0 && this.#random.oneIn(2)) this.#change(this.#random.pick(locks));
    else if (this.#random.oneIn(3)) this.#loseOrResume(client);
    else if (!client.session.isLost) this.#lock(client.session);
  }

  #open(): void {
    const { registry, limits } = this.host;
    if (registry.refuseSession(limits) !== undefined) return;
    const key = this.#random.oneIn(3) ? undefined : `key ${this.#refs++}`;
    const namespace = this.#random.pick(['shop', 'other']);
    const session = this.#sessions.open('c', this.#random.below(200), namespace, key);
    this.#clients.push({ session, peer: session.peer });
  }

  #loseOrResume(client: Client): void {
    const { session } = client;
    if (this.#random.oneIn(6)) session.evict();
    else if (session.isLost && session.key !== undefined) {
      client.peer = this.#sessions.resume(session, 'c');
    } else session.lose(client.peer);
  }

  #change(lock: SessionLock): void {
    const { session } = lock.context;
    const holdMs = this.#maybe(1 + this.#random.below(90));
    if (this.#random.oneIn(4)) session.evictLock(lock);
    else if (this.#random.oneIn(2)) session.release(lock);
    else if (lock.state === 'acquired') session.extend(lock, holdMs);
  }

  #lock(session: Session): void {
    const word = 'n'.repeat(this.#random.below(30));
    const [waitMs, holdMs] = [this.#random.below(90), 1 + this.#random.below(90)];
    const terms = {
      ...{ waitMs: this.#maybe(waitMs), holdMs: this.#maybe(holdMs) },
      ...{ owner: this.#maybe(word), label: this.#maybe(word) },
    };
    const resource = this.#random.pick([read, write])(...this.#path());
    const lock = session.lock([resource], terms, this.#maybe(`${word} ${this.#refs++}`));
    if (!('code' in lock)) this.locks++;
  }

  #watch(): void {
    const path = this.#path();
    if (this.#random.oneIn(2)) {
      if (this.#watchers.add(DEAF, path)) this.watched.set(JSON.stringify(path), path);
    } else {
      this.#watchers.remove(DEAF, path);
      this.watched.delete(JSON.stringify(path));
    }
  }

  #path(): string[] {
    return Array.from({ length: this.#random.below(3) }, () => this.#random.pick(['a', 'bb', '']));
  }

  #maybe<T>(value: T): T | undefined {
    return this.#random.oneIn(2) ? value : undefined;
  }

  end(): void {
    this.#watchers.removeAll(DEAF);
    this.host.registry.endAll();
  }
}
