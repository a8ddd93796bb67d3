/** WebSocket, in browsers and elsewhere: one message per text frame. */
import type { WebSocketConstructor } from './options.ts';
import type { Transport, TransportEvents } from './transport.ts';

/** The parts of `WebSocket` that are used; every implementation has them. */
interface WebSocketLike {
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onerror: ((event: object) => void) | null;
  onclose: ((event: { readonly code?: number; readonly reason?: string }) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/**
 * The server's subprotocol, and the prefix of the one that carries a token. To a client that offers
 * the first, the server says in a message that the token is wrong: a browser hides the status.
 */
const SUBPROTOCOL = 'locktopus';
const TOKEN_OFFER = 'locktopus.bearer.';

const NORMAL = 1000;

export function openWebSocket(
  webSocket: WebSocketConstructor,
  url: string,
  token: string | undefined,
  events: TransportEvents,
): Transport {
  // A browser can't set headers, and a URL ends up in logs.
  const tokens = token === undefined ? [] : [TOKEN_OFFER + base64url(token)];
  const socket = new webSocket(url, [SUBPROTOCOL, ...tokens]) as WebSocketLike;
  let failure: string | undefined;
  let isOpen = false;
  socket.onopen = () => {
    isOpen = true;
    events.opened();
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === 'string') events.message(data);
    else fail('the server sent a binary message');
  };
  socket.onerror = (event) => {
    failure ??= messageIn(event);
  };
  socket.onclose = ({ code, reason }) => {
    const why = [failure, code === undefined ? '' : `close code ${code}`, reason];
    const reasons = why.filter((text) => text !== undefined && text !== '').join(', ');
    const hint = isOpen ? '' : '; check the address, the token, the origin and any proxy';
    events.closed(new Error(`${reasons}${hint}`));
  };
  const fail = (why: string): void => {
    failure = why;
    socket.close(NORMAL);
  };
  return {
    send: (text) => socket.send(text),
    close: () => socket.close(NORMAL),
    destroy: () => {
      // WebSocket has no abrupt close; from now on its events and its errors are ignored.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      socket.close();
    },
  };
}

/** The global WebSocket, where there is one. */
export function globalWebSocket(): WebSocketConstructor | undefined {
  const { WebSocket } = globalThis as { WebSocket?: WebSocketConstructor };
  return WebSocket;
}

function messageIn(event: object): string | undefined {
  return 'message' in event && typeof event.message === 'string' ? event.message : undefined;
}

/** @param text a token, which is printable ASCII */
function base64url(text: string): string {
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
