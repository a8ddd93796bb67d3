/**
 * Reads sockets into one buffer that all of them share. Node allocates a new buffer for each read,
 * which costs more, with its garbage collection, than processing the few bytes in it.
 * Without this, 64 clients with one request each cost 17.1 us of CPU per lock and release instead
 * of 14.5: `npm run bench -- a-tcp-64` shows it, with and without LOCKTOPUS_NO_SHARED_READS=true.
 *
 * Node offers this for sockets that a program creates: the option `onread` of `net.Socket`.
 * Accepted sockets lack the option, but come from the same constructor. So a socket that is never
 * connected is created with the option, to find the properties that store it, and the same
 * properties are set on accepted sockets. If they are not found, or can't work, sockets are read as
 * usual, which differs in speed only; `--no-shared-reads` has the same effect. A test checks that
 * they are found in the Node that runs it; they are in Node 20 to 26.
 */
import { Buffer } from 'node:buffer';
import { type ConnectOpts, Socket, type SocketConstructorOpts } from 'node:net';
import type { Duplex } from 'node:stream';

/** The size that libuv suggests for a read. */
const BUFFER_BYTES = 65_536;
/** Views of fewer bytes than this are cached. */
const VIEWS = 1024;

/** The properties in which a socket stores its option `onread`. */
interface Keys {
  readonly buffer: PropertyKey;
  readonly callback: PropertyKey;
}

/** Untyped fields of Node's sockets. */
interface Inside {
  _handle?: { useUserBuffer?: (buffer: Buffer) => void } | null;
  [key: PropertyKey]: unknown;
}

const shared = Buffer.alloc(BUFFER_BYTES);
/** Views of the first bytes of `shared`, by length, created when first needed. */
const views = new Array<Buffer | undefined>(VIEWS).fill(undefined);
const keys = findKeys();

/**
 * Passes the input of `socket` to `take`, chunk by chunk, while the socket is not paused. Data that
 * the socket has buffered already comes first.
 *
 * @param take may modify the bytes, and must copy those that it keeps: after it returns, the next
 *   read of any socket overwrites them
 * @returns whether the shared buffer is used
 */
export function readShared(socket: Duplex, take: (chunk: Buffer) => void): boolean {
  socket.on('data', take);
  // On Windows a read is started before there is data, so several buffers are in use at a time. A
  // TLS socket reads through a layer of its own.
  if (process.platform === 'win32' || Object.getPrototypeOf(socket) !== Socket.prototype) {
    return false;
  }
  const inside = socket as unknown as Inside;
  const handle = inside._handle;
  if (keys === undefined || typeof handle?.useUserBuffer !== 'function') return false;
  if (inside[keys.buffer] !== null || inside[keys.callback] !== null) return false;
  inside[keys.buffer] = shared;
  inside[keys.callback] = (length: number): boolean => {
    const chunk = firstBytes(length);
    // Node may read on after a pause: the stream then keeps the order, and applies backpressure.
    if (socket.isPaused() || socket.readableLength > 0) return socket.push(Buffer.from(chunk));
    take(chunk);
    return true;
  };
  handle.useUserBuffer(shared);
  return true;
}

/**
 * The first `length` bytes of the shared buffer. Cached: most reads have one of a few short
 * lengths.
 */
function firstBytes(length: number): Buffer {
  if (length >= VIEWS) return shared.subarray(0, length);
  const known = views[length];
  if (known !== undefined) return known;
  const view = shared.subarray(0, length);
  views[length] = view;
  return view;
}

function findKeys(): Keys | undefined {
  const onread = { buffer: shared, callback: () => true };
  const options: SocketConstructorOpts & ConnectOpts = { onread };
  const inside = new Socket(options) as unknown as Inside;
  const keyOf = (value: unknown) => Reflect.ownKeys(inside).find((key) => inside[key] === value);
  const [buffer, callback] = [keyOf(onread.buffer), keyOf(onread.callback)];
  return buffer === undefined || callback === undefined ? undefined : { buffer, callback };
}
