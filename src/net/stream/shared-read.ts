/**
 * Reads sockets into one buffer that all of them share. Node makes a new buffer for each read: more
 * work, for it and for the garbage collector, than all that is done here with the few bytes in it.
 * Without this, 64 clients with one request each cost 17.1 us of CPU per lock and release instead of
 * 14.5: `npm run bench -- a-tcp-64` shows it, with and without LOCKTOPUS_NO_SHARED_READS=true.
 *
 * Node has this for sockets that a program makes itself: the option `onread` of `net.Socket`. For those
 * that a server accepts there is no such option, but they are made by the same constructor. So a
 * socket is made with the option, never connected, to see where it keeps what it was given; the same
 * is then put there in others. Where that isn't found, or could not work, sockets are read as usual,
 * which differs in speed only; `--no-shared-reads` does the same. A test says that it is found in the
 * Node that runs it; it was in all from 20 to 26.
 */
import { Buffer } from 'node:buffer';
import { type ConnectOpts, Socket, type SocketConstructorOpts } from 'node:net';
import type { Duplex } from 'node:stream';

/** As much as libuv asks for when it reads into buffers of Node's. */
const BUFFER_BYTES = 65_536;
/** Of shorter reads the view is kept. */
const VIEWS = 1024;

/** Where a socket keeps what its option `onread` said. */
interface Keys {
  readonly buffer: PropertyKey;
  readonly callback: PropertyKey;
}

/** Fields of Node's sockets that have no types. */
interface Inside {
  _handle?: { useUserBuffer?: (buffer: Buffer) => void } | null;
  [key: PropertyKey]: unknown;
}

const shared = Buffer.alloc(BUFFER_BYTES);
/** Views of its first bytes, by length, made when first needed. */
const views = new Array<Buffer | undefined>(VIEWS).fill(undefined);
const keys = findKeys();

/**
 * Hands what comes from `socket` to `take`, chunk by chunk, as long as the socket is not paused. What
 * the socket had read already comes first.
 *
 * @param take may change the bytes, and must copy what it wants to keep: when it returns, they
 *   belong to the next read, of whichever socket
 * @returns whether it is read into the shared buffer
 */
export function readShared(socket: Duplex, take: (chunk: Buffer) => void): boolean {
  socket.on('data', take);
  // Where reading is not done when the loop says that there is something, as on Windows, several
  // buffers are in use at a time. And TLS has more below it than a socket.
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
    // Node may read on though it is paused; the stream keeps the order, and says when it is enough.
    if (socket.isPaused() || socket.readableLength > 0) return socket.push(Buffer.from(chunk));
    take(chunk);
    return true;
  };
  handle.useUserBuffer(shared);
  return true;
}

/** The first so many bytes of the shared buffer. Most messages are short, and of the same few lengths. */
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
