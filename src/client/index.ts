/** `locktopus/client` in Node: over TCP, TLS, Unix sockets and WebSocket. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Client, connectClient } from './client.ts';
import { type Environment, systemClock } from './environment.ts';
import type { ClientOptions } from './options.ts';
import { SocketTransport, type TlsOptions } from './transport-socket.ts';
import { globalWebSocket, openWebSocket } from './transport-websocket.ts';
import { parseUrl, type Target } from './url.ts';

export * from './public.ts';
export type { TlsOptions } from './transport-socket.ts';

export interface ConnectOptions extends ClientOptions {
  /** For locktopuss://. */
  readonly tls?: TlsOptions | undefined;
}

const DEFAULT_URL = 'locktopus://localhost';

const storage = new AsyncLocalStorage<unknown>();
const context = {
  get: () => storage.getStore(),
  run: <R>(value: unknown, work: () => R) => storage.run(value, work),
};

/**
 * Connects to a lock server. Resolves with a client whose session has begun. Rejects with an
 * `UnreachableError`, a `RefusedError` or a `ProtocolError`, with the reason of `options.signal`, or
 * with a TypeError if `url` or an option can't be used.
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
  return connectClient(environmentFor(target, options), target, { ...options, token });
}

function environmentFor(target: Target, options: ConnectOptions): Environment {
  const webSocket = options.WebSocket ?? globalWebSocket();
  const needsWebSocket = target.addresses.some(({ kind }) => kind === 'websocket');
  if (needsWebSocket && webSocket === undefined) {
    throw new TypeError(
      'no global WebSocket: pass one as the option WebSocket, for example that of the package ws',
    );
  }
  return {
    clock: systemClock((timeout) => (timeout as NodeJS.Timeout).unref()),
    random: Math.random,
    open: (address, token, events) => {
      if (address.kind !== 'websocket') return new SocketTransport(address, options.tls, events);
      if (webSocket === undefined) throw new TypeError('there is no WebSocket');
      return openWebSocket(webSocket, address.url, token, events);
    },
    keepAlive,
    report: (error) => process.emitWarning(error instanceof Error ? error : String(error)),
    context,
  };
}

/** The longest interval there is: the timer is only there to keep the process alive. */
const LONG_MS = 2 ** 31 - 1;

/** The number of clients that are busy. */
let busy = 0;
let timer: NodeJS.Timeout | undefined;

/**
 * Keeps the process alive while any client is busy, by one timer for all of them; other timers and
 * sockets are unreferenced. A client calls it when that changes, and is not busy at first.
 */
function keepAlive(isBusy: boolean): void {
  busy += isBusy ? 1 : -1;
  timer ??= setInterval(() => {}, LONG_MS);
  if (busy > 0) timer.ref();
  else timer.unref();
}
