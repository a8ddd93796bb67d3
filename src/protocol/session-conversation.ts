/**
 * The session protocol: many locks at a time, a `ref` on every request, and a mistake costs an
 * error reply, not the connection. Text in, text out; it knows no socket.
 *
 * Every request is answered in order of arrival, before the next one is looked at. A lock that is
 * enqueued is told again when it is acquired.
 */
import type { SessionHost, SessionLock } from '../session/session.ts';
import { type Peer, type Ref, Session } from '../session/session.ts';
import type { Resource } from '../table/resource.ts';
import { VERSION } from '../version.ts';
import type { Channel, Conversation, EndReason } from './channel.ts';
import { decodeRequest, isRefused, type Refused } from './decode.ts';
import { helpLines } from './help.ts';
import type {
  HelloRequest,
  LockMessage,
  PlainRequest,
  ReleaseRequest,
  Request,
} from './messages.ts';
import { limitRefusal, Refusal } from './refusal.ts';
import { errorReply, plainReply, stateReply } from './replies.ts';

/** The version of the session protocol; v1 is the Go server's. */
const PROTOCOL_VERSION = 2;

/** Where a client goes that doesn't say `hello`. */
export const DEFAULT_NAMESPACE = 'default';

export interface ConversationHost extends SessionHost {
  /** Milliseconds; for sessions that don't choose. */
  readonly defaultAbandonTimeoutMs: number;
}

export class SessionConversation implements Conversation, Peer {
  readonly #host: ConversationHost;
  readonly #channel: Channel;
  #session: Session | undefined;
  #ended = false;

  constructor(host: ConversationHost, channel: Channel) {
    this.#host = host;
    this.#channel = channel;
  }

  receive(text: string): void {
    if (this.#ended) return;
    const decoded = decodeRequest(text, this.#host.limits);
    if (isRefused(decoded)) this.#refuse(decoded);
    else this.#answer(decoded);
  }

  receiveGarbage(refusal: Refusal): void {
    if (!this.#ended) this.#refuse({ refusal, action: undefined, ref: undefined });
  }

  /** A message that can't be told from the next any more: says so, and ends. */
  fail(refusal: Refusal): void {
    if (this.#ended) return;
    this.#channel.send(errorReply(undefined, undefined, refusal));
    this.#end('bad_input');
  }

  acquired(lock: SessionLock): void {
    this.#channel.send(stateReply('lock', lock.context.ref, lock.id, 'acquired'));
  }

  lost(): void {
    this.#ended = true;
    this.#session?.lose();
  }

  shutDown(): void {
    if (this.#ended) return;
    const refusal = new Refusal('shutting_down', 'the server is stopping; all locks are released');
    this.#channel.send(errorReply(undefined, undefined, refusal));
    this.#end('shutting_down');
  }

  #answer(request: Request): void {
    if (request.action === 'lock') this.#lock(request);
    else if (request.action === 'release') this.#release(request);
    else if (request.action === 'hello') this.#hello(request);
    else this.#plain(request);
  }

  #hello(request: HelloRequest): void {
    if (this.#session !== undefined) {
      const { name } = this.#session.namespace;
      const refusal = new Refusal(
        'hello_not_first',
        `hello must be the first message; this session is in namespace ${JSON.stringify(name)} already. Open another connection`,
      );
      this.#channel.send(errorReply('hello', request.ref, refusal));
      return;
    }
    const session = this.#open(request.namespace, request.abandonTimeoutMs);
    const { limits } = this.#host;
    const fields = {
      namespace: session.namespace.name,
      protocol: PROTOCOL_VERSION,
      version: VERSION,
      abandonTimeoutMs: session.abandonTimeoutMs,
      limits: {
        maxMessageBytes: limits.maxMessageBytes,
        maxResourcesPerLock: limits.maxResourcesPerLock,
        maxSegmentsPerPath: limits.maxSegmentsPerPath,
        maxSegmentBytes: limits.maxSegmentBytes,
        maxLocksPerSession: limits.maxLocksPerSession,
      },
    };
    this.#channel.send(plainReply('hello', request.ref, fields));
  }

  #lock({ ref, resources }: LockMessage): void {
    const session = this.#current();
    const known = ref === undefined ? undefined : session.lockByRef(ref);
    if (known !== undefined) {
      this.#repeat(known, ref, resources);
      return;
    }
    const lock = session.lock(resources, ref);
    if (typeof lock === 'string') {
      this.#channel.send(errorReply('lock', ref, limitRefusal(lock, this.#host.limits)));
    } else {
      this.#channel.send(stateReply('lock', ref, lock.id, stateOf(lock)));
    }
  }

  /** A `ref` that is in use: a retry of the same request hears how that stands. */
  #repeat(known: SessionLock, ref: Ref | undefined, resources: readonly Resource[]): void {
    if (isSameRequest(known.resources, resources)) {
      this.#channel.send(stateReply('lock', ref, known.id, stateOf(known)));
      return;
    }
    const refusal = new Refusal(
      'ref_in_use',
      `this ref belongs to lock ${known.id}, which has other resources; choose another ref or release that lock first`,
    );
    this.#channel.send(errorReply('lock', ref, refusal));
  }

  #release({ ref, id }: ReleaseRequest): void {
    const session = this.#current();
    const lock = findLock(session, id);
    if (lock instanceof Refusal) {
      this.#channel.send(errorReply('release', ref, lock));
      return;
    }
    // The answer comes first: what this release lets through may be another lock of this session.
    this.#channel.send(stateReply('release', ref, lock.id, 'released'));
    session.release(lock);
  }

  #plain({ action, ref }: PlainRequest): void {
    const session = this.#current();
    switch (action) {
      case 'ping':
        this.#channel.send(plainReply(action, ref, {}));
        return;
      case 'help':
        for (const line of helpLines(VERSION)) this.#channel.send(plainReply(action, ref, line));
        return;
      case 'stats':
        this.#channel.send(plainReply(action, ref, this.#stats(session)));
        return;
      case 'bye':
        this.#channel.send(plainReply(action, ref, {}));
        session.end();
        this.#end('goodbye');
    }
  }

  #stats({ namespace }: Session): object {
    const { size } = namespace.table;
    return {
      namespace: namespace.name,
      sessions: namespace.sessions.size,
      locks: { acquired: size.acquired, enqueued: size.enqueued },
      resources: { acquired: size.resourcesAcquired, enqueued: size.resourcesEnqueued },
      paths: size.paths,
    };
  }

  #refuse({ refusal, action, ref }: Refused): void {
    const isStranger = this.#session === undefined && NOT_A_MESSAGE.has(refusal.code);
    if (!isStranger) {
      this.#channel.send(errorReply(action, ref, refusal));
      return;
    }
    // What begins with something else than a JSON object is no client of ours: perhaps a web page
    // that was made to post to this port. It gets no second try.
    const message = `${refusal.message}. A connection must begin with a JSON object, such as {"action":"help"}; closing it`;
    this.fail(new Refusal(refusal.code, message));
  }

  #current(): Session {
    return this.#session ?? this.#open(undefined, undefined);
  }

  #open(
    namespace = DEFAULT_NAMESPACE,
    abandonTimeoutMs = this.#host.defaultAbandonTimeoutMs,
  ): Session {
    const { client } = this.#channel;
    this.#session = new Session(this.#host, { namespace, abandonTimeoutMs, client }, this);
    return this.#session;
  }

  #end(reason: EndReason): void {
    this.#ended = true;
    this.#channel.end(reason);
    // Not later, when the socket is gone: until then it could be granted what it waits for.
    if (reason === 'bad_input') this.#session?.lose();
  }
}

const NOT_A_MESSAGE: ReadonlySet<string> = new Set(['bad_json', 'bad_utf8']);

/** The lock that a release means: the one with that `id` or, without an id, the only one. */
function findLock(session: Session, id: number | undefined): SessionLock | Refusal {
  if (id !== undefined) {
    const lock = session.locks.get(id);
    if (lock !== undefined) return lock;
    return new Refusal(
      'no_such_lock',
      `this session has no lock ${id}; it may be released already`,
    );
  }
  const [only] = session.locks.values();
  if (only === undefined) {
    return new Refusal('no_such_lock', 'this session has no lock to release');
  }
  if (session.locks.size === 1) return only;
  const count = session.locks.size;
  return new Refusal('id_needed', `this session has ${count} locks; say which one by its "id"`);
}

function stateOf(lock: SessionLock): 'acquired' | 'enqueued' {
  return lock.state === 'acquired' ? 'acquired' : 'enqueued';
}

function isSameRequest(a: readonly Resource[], b: readonly Resource[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
