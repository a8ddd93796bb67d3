/**
 * `locktopus/client` in browsers, over WebSocket: bundlers resolve it to this file. Nothing reachable
 * from here imports from Node.
 */
import { type Client, connectClient } from './client.ts';
import { type Environment, systemClock } from './environment.ts';
import type { ClientOptions } from './options.ts';
import { globalWebSocket, openWebSocket } from './transport-websocket.ts';
import { parseUrl } from './url.ts';

export * from './public.ts';

/**
 * Connects to a lock server. Resolves with a client whose session has begun. Rejects with an
 * `UnreachableError`, a `RefusedError` or a `ProtocolError`, with the reason of `options.signal`, or
 * with a TypeError if `url` or an option can't be used. It waits for 15 seconds at most for a server that
 * starts, or takes over from another.
 *
 * @param url where the server is: `ws://localhost:9009/shop`, `wss://…`; `shop` is the namespace
 */
export async function connect(url: string, options: ClientOptions = {}): Promise<Client> {
  const target = parseUrl(url);
  const webSocket = options.WebSocket ?? globalWebSocket();
  if (webSocket === undefined)
    throw new TypeError('no global WebSocket: pass one as the option WebSocket');
  if (target.addresses.some(({ kind }) => kind !== 'websocket')) {
    throw new TypeError(
      `browsers connect over WebSocket only: use ws:// or wss:// instead of ${url}`,
    );
  }
  const environment: Environment = {
    clock: systemClock(),
    random: Math.random,
    open: (address, token, events) => {
      if (address.kind !== 'websocket') throw new TypeError('not a WebSocket');
      return openWebSocket(webSocket, address.url, token, events);
    },
    keepAlive: () => {},
    report: (error) => {
      // Reported like an error thrown by any other event handler.
      setTimeout(() => {
        throw error;
      }, 0);
    },
    context: undefined,
  };
  return connectClient(environment, target, options);
}
