/** What a client can ask in the session protocol, once decoded: nothing past this is checked again. */
import type { Ref } from '../session/session.ts';
import type { Resource } from '../table/resource.ts';

export interface HelloRequest {
  readonly action: 'hello';
  readonly ref: Ref | undefined;
  readonly namespace: string | undefined;
  readonly abandonTimeoutMs: number | undefined;
}

export interface LockMessage {
  readonly action: 'lock';
  readonly ref: Ref | undefined;
  readonly resources: readonly Resource[];
}

export interface ReleaseRequest {
  readonly action: 'release';
  readonly ref: Ref | undefined;
  readonly id: number | undefined;
}

export interface PlainRequest {
  readonly action: 'ping' | 'stats' | 'help' | 'bye';
  readonly ref: Ref | undefined;
}

export type Request = HelloRequest | LockMessage | ReleaseRequest | PlainRequest;

export const ACTIONS = ['hello', 'lock', 'release', 'ping', 'stats', 'help', 'bye'] as const;
export type Action = (typeof ACTIONS)[number];
