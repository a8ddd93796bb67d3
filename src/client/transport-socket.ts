/** TCP, TLS and Unix sockets, in Node: one message per line. */
import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Transport, TransportEvents } from './transport.ts';
import type { Address } from './url.ts';

/** Options of `node:tls`, under the same names. */
export interface TlsOptions {
  /** Trusted certificates in PEM, instead of those that Node trusts. */
  readonly ca?: string | Uint8Array | (string | Uint8Array)[] | undefined;
  /** The client's own certificate and its key, in PEM. */
  readonly cert?: string | Uint8Array | undefined;
  readonly key?: string | Uint8Array | undefined;
  readonly passphrase?: string | undefined;
  /** The name that the server's certificate must have. Default: the host of the URL. */
  readonly servername?: string | undefined;
  /** False accepts any certificate, so that any server can pose as this one. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
}

/** In characters; longer than any line that a server sends. */
const MAX_LINE_LENGTH = 16 * 1024 * 1024;
const KEEP_ALIVE_MS = 30_000;

export class SocketTransport implements Transport {
  readonly #socket: Socket;
  readonly #events: TransportEvents;
  /** The beginning of a line whose end has not arrived. */
  #partial = '';
  /** To be sent before the event loop goes on. */
  #pending = '';
  #error: Error | undefined;

  constructor(
    address: Exclude<Address, { kind: 'websocket' }>,
    tls: TlsOptions | undefined,
    events: TransportEvents,
  ) {
    this.#events = events;
    const socket = openSocket(address, tls);
    this.#socket = socket;
    // The client itself decides when the process must stay alive.
    socket.unref();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.setEncoding('utf8');
    const isSecure = address.kind === 'tcp' && address.secure;
    socket.on(isSecure ? 'secureConnect' : 'connect', () => events.opened());
    socket.on('data', (chunk) => this.#received(String(chunk)));
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => events.closed(this.#error));
  }

  send(text: string): void {
    if (this.#pending === '') process.nextTick(() => this.#flush());
    this.#pending += `${text}\n`;
  }

  close(): void {
    this.#flush();
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Sends everything said in one turn in one write. */
  #flush(): void {
    const text = this.#pending;
    this.#pending = '';
    if (text !== '' && this.#socket.writable) this.#socket.write(text);
  }

  #received(chunk: string): void {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', start)) {
      const line = this.#partial + chunk.slice(start, end);
      this.#partial = '';
      start = end + 1;
      if (line !== '' && line !== '\r') this.#events.message(line);
    }
    this.#partial += chunk.slice(start);
    if (this.#partial.length > MAX_LINE_LENGTH) {
      this.#socket.destroy(new Error('the server sent a line without an end'));
    }
  }
}

function openSocket(
  address: Exclude<Address, { kind: 'websocket' }>,
  tls: TlsOptions | undefined,
): Socket {
  if (address.kind === 'unix') return connectSocket({ path: address.path });
  const { host, port, secure } = address;
  if (!secure) return connectSocket({ host, port });
  const { ca, cert, key, passphrase, rejectUnauthorized, servername } = tls ?? {};
  return connectTls({
    host,
    port,
    ...(servername === undefined && isIP(host) !== 0 ? {} : { servername: servername ?? host }),
    ...(ca === undefined ? {} : { ca: toBuffers(ca) }),
    ...(cert === undefined ? {} : { cert: toBuffer(cert) }),
    ...(key === undefined ? {} : { key: toBuffer(key) }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  });
}

function toBuffers(parts: string | Uint8Array | (string | Uint8Array)[]): (string | Buffer)[] {
  return (Array.isArray(parts) ? parts : [parts]).map(toBuffer);
}

function toBuffer(part: string | Uint8Array): string | Buffer {
  return typeof part === 'string' ? part : Buffer.from(part);
}
