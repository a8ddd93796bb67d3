/** The environment of a client in Node. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Environment, systemClock } from './environment.ts';
import type { ClientOptions } from './options.ts';
import { SocketTransport, type TlsOptions } from './transport-socket.ts';
import { globalWebSocket, openWebSocket } from './transport-websocket.ts';
import type { Target } from './url.ts';

const storage = new AsyncLocalStorage<unknown>();
const context = {
  get: () => storage.getStore(),
  run: <R>(value: unknown, work: () => R) => storage.run(value, work),
};

/** What a client needs in Node. Throws a TypeError if there is no WebSocket and it needs one. */
export function nodeEnvironment(
  target: Target,
  options: { readonly tls?: TlsOptions | undefined } & Pick<ClientOptions, 'WebSocket'>,
): Environment {
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
