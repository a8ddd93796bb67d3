/**
 * Gathers from a history, for each lock request, when its lock was reported as held, until when the
 * server must have had it, and how it ended. checker.ts draws the conclusions.
 */
import { ok } from 'node:assert/strict';
import type { Resource } from '../../src/table/resource.ts';
import type { HistoryEvent, Nanos, Opened, Requested, Told } from './history.ts';

const NANOS_PER_MS = 1e6;

/** The server's timers count whole milliseconds, so they may be early by a fraction of one. */
const TIMER_GRAIN_NS = NANOS_PER_MS;

/** How a request ended, as its client knows; `gone` if its session ended. */
export type Ending = 'timeout' | 'expired' | 'released' | 'refused' | 'gone' | 'killed';

/** One lock request and the messages about it. */
export interface RequestRecord {
  readonly client: string;
  readonly ref: number;
  readonly namespace: string;
  readonly resources: readonly Resource[];
  readonly requestedAt: Nanos;
  /** Undefined until a reply is read. */
  id: number | undefined;
  /** When the first message with the id was read. */
  answeredAt: Nanos;
  /** When `acquired` was first read. */
  acquiredAt: Nanos | undefined;
  /** When `release` was first sent, or `bye`. */
  releasedAt: Nanos | undefined;
  ending: Ending | undefined;
  /** The server had it at least until then. */
  aliveUntil: Nanos;
}

/** A broken rule of the protocol, found in the history of one client. */
export interface Breach {
  readonly rule: 'ending' | 'too early' | 'id';
  readonly what: string;
}

interface Live extends RequestRecord {
  readonly waitNs: number;
  readonly holdNs: number;
  /** The server granted it no earlier. */
  grantedFrom: Nanos;
  /** When its client last relied on it, as far as that is logged. */
  heldAt: Nanos;
}

/** A client while its history is read. */
class ClientRecord {
  readonly opened: Opened;
  readonly alive = new Map<number, Live>();
  readonly ended = new Map<number, Live>();
  /** When the latest request that was answered was sent. */
  asked: Nanos = Number.NEGATIVE_INFINITY;
  /** Set once it has no session. */
  isOver = false;

  constructor(opened: Opened) {
    this.opened = opened;
  }

  /** The time before which the server can't have lost `record`, without further messages. */
  sureUntil(record: Live): Nanos {
    if (record.id === undefined) return Number.NEGATIVE_INFINITY;
    const { abandonMs, isNamed } = this.opened;
    const isHeld = record.acquiredAt !== undefined;
    const keptNs = isHeld || isNamed ? abandonMs * NANOS_PER_MS : 0;
    const timers = [this.asked + keptNs];
    // A hold counts from the grant, which is after the last time the lock was known to wait.
    timers.push((isHeld ? record.grantedFrom : this.asked) + record.holdNs);
    if (!isHeld) timers.push(record.requestedAt + record.waitNs);
    return Math.max(this.asked, Math.min(...timers) - TIMER_GRAIN_NS);
  }
}

/** Reads the histories of all processes, each in its own order; one client is in one of them. */
export class Records {
  readonly requests: RequestRecord[] = [];
  readonly breaches: Breach[] = [];
  readonly #clients = new Map<string, ClientRecord>();
  readonly #killed = new Set<string>();

  /** @param histories the events of each process, in its order */
  constructor(histories: Iterable<readonly HistoryEvent[]>) {
    for (const events of histories) for (const event of events) this.#take(event);
    for (const [name, client] of this.#clients) this.#close(name, client);
  }

  #take(event: HistoryEvent): void {
    if (event.e === 'killed') {
      this.#killed.add(event.process);
      return;
    }
    if (event.e === 'opened') {
      ok(!this.#clients.has(event.c), `client ${event.c} begins twice`);
      this.#clients.set(event.c, new ClientRecord(event));
      return;
    }
    const client = this.#clients.get(event.c);
    ok(client !== undefined, `client ${event.c} is not known`);
    switch (event.e) {
      case 'request':
        this.#request(client, event);
        break;
      case 'heard':
        client.asked = Math.max(client.asked, event.asked);
        break;
      case 'told':
        this.#told(client, event);
        break;
      case 'bye':
        for (const record of client.alive.values()) record.releasedAt ??= event.t;
        client.isOver = true;
        break;
      case 'vanished':
        client.isOver = true;
        break;
      case 'lost':
        for (const record of [...client.alive.values()]) this.#gone(client, record, event.t);
        client.isOver = true;
        break;
      default:
        this.#about(client, event);
    }
  }

  #about(
    client: ClientRecord,
    event: HistoryEvent & { e: 'refused' | 'release' | 'gone' | 'held' },
  ): void {
    const record = client.alive.get(event.r);
    if (record === undefined) {
      this.#breach('ending', `${event.c} request ${event.r}: ${event.e} after its end`);
    } else if (event.e === 'release') record.releasedAt ??= event.t;
    else if (event.e === 'held') record.heldAt = event.t;
    else if (event.e === 'gone') this.#gone(client, record, event.t);
    else this.#end(client, record, 'refused', Number.NEGATIVE_INFINITY);
  }

  #request(client: ClientRecord, event: Requested): void {
    const record: Live = {
      client: event.c,
      ref: event.r,
      namespace: client.opened.namespace,
      resources: event.resources,
      requestedAt: event.t,
      id: undefined,
      answeredAt: Number.POSITIVE_INFINITY,
      acquiredAt: undefined,
      releasedAt: undefined,
      ending: undefined,
      aliveUntil: Number.NEGATIVE_INFINITY,
      waitNs: (event.waitMs ?? Number.POSITIVE_INFINITY) * NANOS_PER_MS,
      holdNs: (event.holdMs ?? Number.POSITIVE_INFINITY) * NANOS_PER_MS,
      grantedFrom: event.t,
      heldAt: Number.NEGATIVE_INFINITY,
    };
    client.alive.set(event.r, record);
    this.requests.push(record);
  }

  #told(client: ClientRecord, event: Told): void {
    const record = client.alive.get(event.r);
    if (record === undefined) {
      const { ending } = client.ended.get(event.r) ?? {};
      this.#breach('ending', `${name(event)}: told ${event.state} after ${ending ?? 'nothing'}`);
      return;
    }
    if (record.id === undefined) record.answeredAt = event.t;
    else if (record.id !== event.id) {
      this.#breach('id', `${name(event)}: had the id ${record.id} before`);
    }
    record.id = event.id;
    switch (event.state) {
      case 'acquired':
        if (record.acquiredAt === undefined) {
          record.grantedFrom = Math.max(record.requestedAt, client.asked);
          record.acquiredAt = event.t;
        }
        break;
      case 'timeout':
        this.#notBefore(event, record.requestedAt + record.waitNs);
        this.#end(client, record, 'timeout', this.#untilEnd(client, record, event));
        break;
      case 'expired':
        this.#notBefore(event, record.grantedFrom + record.holdNs);
        this.#end(client, record, 'expired', this.#untilEnd(client, record, event));
        break;
      case 'released':
        if (record.releasedAt === undefined) {
          this.#breach('ending', `${name(event)}: released, which it did not ask for`);
        }
        // The lock existed when the server read the release, which was after it was sent.
        this.#end(client, record, 'released', record.releasedAt ?? event.t);
        break;
      case 'enqueued':
        if (record.acquiredAt !== undefined) {
          this.#breach('ending', `${name(event)}: enqueued after it was acquired`);
        }
    }
    client.asked = Math.max(client.asked, event.asked);
  }

  /** Until when the server must have had a lock that it ended by itself, as read now. */
  #untilEnd(client: ClientRecord, record: Live, { t }: Told): Nanos {
    return Math.min(t, record.releasedAt ?? t, client.sureUntil(record));
  }

  #notBefore(event: Told, due: Nanos): void {
    if (event.t >= due - TIMER_GRAIN_NS) return;
    const early = Math.ceil((due - event.t) / NANOS_PER_MS);
    this.#breach('too early', `${name(event)}: ${event.state} ${early} ms too early`);
  }

  /** The client learns that it no longer has that lock. */
  #gone(client: ClientRecord, record: Live, t: Nanos): void {
    const sure = client.sureUntil(record);
    // A lock that it has released is not lost, whatever happened to the reply.
    if (record.releasedAt === undefined && t < sure) {
      const early = Math.ceil((sure - t) / NANOS_PER_MS);
      this.#breach(
        'too early',
        `lock ${record.id} of ${record.client}: lost ${early} ms too early`,
      );
    }
    this.#end(client, record, 'gone', Math.min(record.releasedAt ?? t, sure));
  }

  #end(client: ClientRecord, record: Live, ending: Ending, aliveUntil: Nanos): void {
    record.ending = ending;
    record.aliveUntil = Math.max(aliveUntil, record.heldAt);
    client.alive.delete(record.ref);
    client.ended.set(record.ref, record);
  }

  /**
   * The end of a client's history: which requests may be open, and until when their locks existed.
   */
  #close(name: string, client: ClientRecord): void {
    const [process = ''] = name.split('.');
    const isKilled = this.#killed.has(process);
    for (const record of [...client.alive.values()]) {
      const sure = client.sureUntil(record);
      this.#end(client, record, 'killed', Math.min(record.releasedAt ?? sure, sure));
      if (isKilled || client.isOver) continue;
      record.ending = undefined;
      const state = record.acquiredAt === undefined ? 'never ended' : 'never released';
      this.#breach('ending', `request ${record.ref} of ${name} (lock ${record.id}) ${state}`);
    }
  }

  #breach(rule: Breach['rule'], what: string): void {
    this.breaches.push({ rule, what });
  }
}

function name({ c, r, id }: Told): string {
  return `lock ${id} (request ${r} of ${c})`;
}
