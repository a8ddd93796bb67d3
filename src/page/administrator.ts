/**
 * Evictions: by the client that is there or, where that may not, with the token of an
 * administrator.
 */
import type { Client, EvictTarget } from '../client/client.ts';
import { LocktopusError, RefusedError } from '../client/errors.ts';
import { connectTo, type ServerAddress } from './feed.ts';

/** Kept in memory, until the page is closed. */
export interface Tokens {
  client: string | undefined;
  admin: string | undefined;
}

export type Eviction =
  | { readonly kind: 'done'; readonly locks: number }
  /** Only an administrator may do this; `reason` says so, or what is wrong with the token. */
  | { readonly kind: 'forbidden'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** @param client connected to the namespace of the target, if there is one */
export async function evict(
  client: Client | undefined,
  namespace: string,
  target: EvictTarget,
  address: ServerAddress,
  tokens: Tokens,
): Promise<Eviction> {
  if (tokens.admin === undefined) {
    if (client === undefined) return { kind: 'failed', reason: 'There is no connection.' };
    return evictBy(client, target);
  }
  const own = await connectTo(address, namespace, tokens.admin);
  if (!('kind' in own)) {
    const eviction = await evictBy(own, target);
    void own.close();
    if (eviction.kind === 'forbidden') tokens.admin = undefined;
    return eviction;
  }
  if (own.kind === 'disconnected') return { kind: 'failed', reason: sentence(own.reason) };
  tokens.admin = undefined;
  return { kind: 'forbidden', reason: 'This token is not valid.' };
}

async function evictBy(client: Client, target: EvictTarget): Promise<Eviction> {
  try {
    return { kind: 'done', locks: await client.evict(target) };
  } catch (error) {
    if (!(error instanceof LocktopusError)) throw error;
    if (!(error instanceof RefusedError))
      return { kind: 'failed', reason: sentence(error.message) };
    if (error.code === 'forbidden') {
      return { kind: 'forbidden', reason: 'Only an administrator may evict.' };
    }
    const isGone = error.code === 'no_such_lock' || error.code === 'no_such_session';
    return { kind: 'failed', reason: isGone ? 'It is gone already.' : sentence(error.message) };
  }
}

function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}
