/** `locktopus/client` in Node: over TCP, TLS, Unix sockets and WebSocket. */
import { type Client, connectClient } from './client.ts';
import { nodeEnvironment } from './node-environment.ts';
import type { ClientOptions } from './options.ts';
import type { TlsOptions } from './transport-socket.ts';
import { DEFAULT_URL, parseUrl } from './url.ts';

export * from './public.ts';
export type { TlsOptions } from './transport-socket.ts';

export interface ConnectOptions extends ClientOptions {
  /** For locktopuss://. */
  readonly tls?: TlsOptions | undefined;
}

/**
 * Connects to a lock server. Resolves with a client whose session has begun. Rejects with an
 * `UnreachableError`, a `RefusedError` or a `ProtocolError`, with the reason of `options.signal`, or
 * with a TypeError if `url` or an option can't be used. It waits for 15 seconds at most for a server that
 * starts, or takes over from another.
 *
 * @param url where the server is: `locktopus://localhost/shop`, `locktopuss://…` (TLS), `unix:/path`,
 *   `ws://…`, `wss://…`; `shop` is the namespace. Default: `LOCKTOPUS_URL` of the environment, or
 *   `locktopus://localhost`; the token's default is `LOCKTOPUS_TOKEN`. Over WebSocket the process stays
 *   alive until the client is closed; over the others, while it holds or awaits something.
 */
export async function connect(url?: string, options: ConnectOptions = {}): Promise<Client> {
  const { LOCKTOPUS_URL, LOCKTOPUS_TOKEN } = process.env;
  const target = parseUrl(url ?? (LOCKTOPUS_URL || DEFAULT_URL));
  const token = options.token ?? (LOCKTOPUS_TOKEN || undefined);
  return connectClient(nodeEnvironment(target, options), target, { ...options, token });
}
