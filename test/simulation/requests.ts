/**
 * The requests of simulated clients, and messages to them reduced to one comparable line. The
 * server gets text; its reference gets these objects.
 */
import type { Ref } from '../../src/session/lock-record.ts';
import type { Path, Resource } from '../../src/table/resource.ts';
import type { Reply } from '../support/line-client.ts';

export interface HelloRequest {
  readonly action: 'hello';
  readonly ref?: Ref | undefined;
  readonly session?: string | undefined;
  readonly namespace?: string | undefined;
  readonly abandonTimeoutMs?: number | undefined;
  readonly heartbeatMs?: number | undefined;
}

export interface LockRequest {
  readonly action: 'lock';
  readonly ref?: Ref | undefined;
  readonly resources: readonly Resource[];
  readonly waitMs?: number | undefined;
  readonly holdMs?: number | undefined;
  readonly owner?: string | undefined;
}

export interface ReleaseRequest {
  readonly action: 'release';
  readonly ref?: Ref | undefined;
  readonly id?: string | undefined;
}

export interface ExtendRequest {
  readonly action: 'extend';
  readonly ref?: Ref | undefined;
  readonly id?: string | undefined;
  readonly holdMs: number | null;
}

export interface WatchRequest {
  readonly action: 'watch' | 'unwatch';
  readonly ref?: Ref | undefined;
  readonly path: Path;
}

export interface InspectRequest {
  readonly action: 'inspect';
  readonly ref?: Ref | undefined;
  readonly max: number;
}

export interface NamespacesRequest {
  readonly action: 'namespaces';
  readonly ref?: Ref | undefined;
  readonly after?: string | undefined;
  readonly max: number;
}

export interface EvictRequest {
  readonly action: 'evict';
  readonly ref?: Ref | undefined;
  readonly id?: string | undefined;
  readonly sessionId?: string | undefined;
}

export interface PlainRequest {
  readonly action: 'ping' | 'stats' | 'bye';
  readonly ref?: Ref | undefined;
}

/** An invalid message, with the error that the server must answer. */
export interface Nonsense {
  readonly action: 'nonsense';
  readonly ref?: undefined;
  readonly bytes: Buffer;
  readonly code: string;
  /** The action as far as the server can read it. */
  readonly readAs?: string | undefined;
}

export type Request =
  | HelloRequest
  | LockRequest
  | ReleaseRequest
  | ExtendRequest
  | WatchRequest
  | InspectRequest
  | NamespacesRequest
  | EvictRequest
  | PlainRequest
  | Nonsense;

/** The line of `request`, without its line feed. */
export function bytesOf(request: Request): Buffer {
  return request.action === 'nonsense' ? request.bytes : Buffer.from(JSON.stringify(request));
}

export function nonsense(text: string, code: string, readAs?: string): Nonsense {
  return { action: 'nonsense', bytes: Buffer.from(text, 'latin1'), code, readAs };
}

export const SENTENCE = 'a sentence';

/** A server's message without what the requests do not determine: texts for people and times. */
export function gist(reply: Reply): string {
  const { action, ref, id, state, error, session, locks } = reply;
  if (error !== undefined) return errorGist(action, ref, (error as Reply).code);
  switch (action) {
    case 'hello':
      return `hello ${ref} ${session} ${reply.sessionId} ${reply.namespace} ${locks}`;
    case 'extend':
      return extendGist(ref, id, reply.holdMs);
    case 'evict':
      return evictGist(ref, id, reply.sessionId, locks);
    case 'watch':
      if (reply.event !== undefined)
        return `event ${reply.event} ${id} ${reply.sessionId} ${reply.atMs}`;
      return reply.dropped === undefined ? `watch ${ref}` : `dropped ${reply.dropped}`;
    case 'stats': {
      const counts = locks as Reply;
      const resources = reply.resources as Reply;
      return `stats ${ref} ${reply.sessions} ${counts.acquired} ${counts.enqueued} ${resources.acquired} ${resources.enqueued}`;
    }
    case 'inspect':
      return reply.end === true
        ? `inspect ${ref} end ${reply.namespace} ${reply.acquired} ${reply.enqueued} ${reply.next}`
        : `inspect ${ref} ${id} ${state} ${reply.abandonedInMs}`;
    case 'namespaces': {
      if (reply.end === true) return `namespaces ${ref} end ${reply.next}`;
      const { acquired, enqueued } = locks as Reply;
      return `namespaces ${ref} ${reply.namespace} ${reply.sessions} ${acquired} ${enqueued}`;
    }
    default:
      return id === undefined ? `${action} ${ref}` : stateGist(action, ref, id, state);
  }
}

export function stateGist(action: unknown, ref: unknown, id: unknown, state: unknown): string {
  return `${action} ${ref} ${id} ${state}`;
}

export function extendGist(ref: unknown, id: unknown, holdMs: unknown): string {
  return `extend ${ref} ${id} ${holdMs}`;
}

export function evictGist(ref: unknown, id: unknown, sessionId: unknown, locks: unknown): string {
  return `evict ${ref} ${id} ${sessionId} ${locks}`;
}

export function errorGist(action: unknown, ref: unknown, code: unknown): string {
  return `error ${action} ${ref} ${code}`;
}
