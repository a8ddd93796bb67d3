/**
 * A WebSocket server that sends back what it gets, on 127.0.0.1: for the tests, and, started as
 * `node --import tsx test/support/echo-server.ts PORT`, for an outside conformance suite.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { rawResponse } from '../../src/net/http/raw-response.ts';
import { closeGracefully } from '../../src/net/stream/graceful-close.ts';
import { makeStreamHost } from '../../src/net/stream/stream-host.ts';
import {
  type EndInfo,
  WebSocketConnection,
  type WebSocketOptions,
} from '../../src/net/websocket/connection.ts';
import {
  acceptHead,
  checkHandshake,
  type RejectedHandshake,
} from '../../src/net/websocket/handshake.ts';
import { systemClock } from '../../src/runtime/clock.ts';

const MIB = 1024 * 1024;

const DEFAULTS: WebSocketOptions = {
  maxMessageBytes: 32 * MIB,
  maxFragments: 1_000_000,
  maxUnreadBytes: 256 * MIB,
  streams: makeStreamHost(systemClock, 512 * MIB),
};

/** For a handshake that we accept and that the parser of `node:http` did not see as an upgrade. */
const NO_UPGRADE = { status: 400, headers: {}, message: 'This is no HTTP upgrade.' };

export interface EchoServer {
  readonly http: Server;
  readonly port: number;
}

/** Hooks of a test; each is called with the connection. */
export interface EchoHooks {
  connected?(connection: WebSocketConnection): void;
  text?(connection: WebSocketConnection, message: string): void;
  ended?(info: EndInfo): void;
}

function refuse(socket: Duplex, refused: RejectedHandshake, { streams }: WebSocketOptions): void {
  const { status, headers, message } = refused;
  socket.write(rawResponse({ status, headers, body: `${message}\n` }, false));
  closeGracefully(socket, streams.clock);
}

/** Starts an echo server; port 0 picks a free one. A `text` hook replaces the echo of text. */
export async function startEchoServer(
  port = 0,
  options: Partial<WebSocketOptions> = {},
  hooks: EchoHooks = {},
): Promise<EchoServer> {
  const settings = { ...DEFAULTS, ...options };
  const http = createServer((request, response) => {
    const answer = checkHandshake(request);
    const refused = 'accept' in answer ? NO_UPGRADE : answer;
    const headers = { ...refused.headers, Connection: 'close' };
    response.writeHead(refused.status, headers).end(`${refused.message}\n`);
  });
  http.on('upgrade', (request, socket, head) => {
    const answer = checkHandshake(request);
    if (!('accept' in answer)) {
      refuse(socket, answer, settings);
      return;
    }
    socket.write(acceptHead(answer.accept));
    const connection = new WebSocketConnection(socket, head, settings, {
      text: ({ text }) => (hooks.text ? hooks.text(connection, text) : connection.sendText(text)),
      binary: (message) => connection.sendBinary(message),
      ended: (info) => hooks.ended?.(info),
    });
    hooks.connected?.(connection);
  });
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  return { http, port: (http.address() as AddressInfo).port };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { port } = await startEchoServer(Number(process.argv[2] ?? 0));
  console.log(`echoing on ws://127.0.0.1:${port}`);
}
