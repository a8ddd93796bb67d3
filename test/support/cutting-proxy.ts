/**
 * A proxy that fails in the ways of a network. It passes bytes on in both directions, with a delay
 * if the test asks for one, until the budget of a connection is used up. Then it breaks the
 * connection with a reset, a FIN to one side, or in the middle of a message. It can also fall
 * silent, in one direction or both: connections stay open, and no more bytes arrive.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { Random } from './random.ts';

/** The largest budget of a connection, in bytes. */
const MAX_LIFE_BYTES = 4000;

export class CuttingProxy {
  readonly #random: Random;
  readonly #target: number;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  /** False keeps every connection alive. */
  isCutting = true;
  /** What arrives from there is dropped from now on, the ends of connections included. */
  silenced: 'none' | 'clients' | 'server' | 'both' = 'none';
  /** True ends every connection as it comes. */
  isRefusing = false;
  /** Milliseconds by which a chunk of bytes is late at most. */
  maxDelayMs = 0;
  cuts = 0;

  /** @param target the server's port on the loopback address */
  constructor(random: Random, target: number) {
    this.#random = random;
    this.#target = target;
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
      this.#join(client),
    );
  }

  /** Listens until the test ends; returns the port. */
  async listen(t: TestContext): Promise<number> {
    this.#listener.listen(0, '127.0.0.1');
    await once(this.#listener, 'listening');
    t.after(() => this.close());
    return (this.#listener.address() as AddressInfo).port;
  }

  /** Cuts all connections and accepts no more. */
  close(): void {
    this.#listener.close();
    this.cut();
  }

  /** Cuts what there is. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(client: Socket): void {
    if (this.isRefusing) {
      client.destroy();
      return;
    }
    const server = connect({
      port: this.#target,
      host: '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    });
    const budget = { bytes: 1 + this.#random.below(MAX_LIFE_BYTES) };
    const cut = this.#drawCut(client, server);
    for (const [from, to, side] of [
      [client, server, 'clients'],
      [server, client, 'server'],
    ] as const) {
      this.#sockets.add(from);
      const later = this.#lane(side);
      from.on('error', () => this.#isSilenced(side) || to.destroy());
      from.on('end', () => later(() => to.end()));
      from.on('close', () => {
        this.#sockets.delete(from);
        if (!this.#isSilenced(side)) to.destroy();
      });
      from.on('data', (chunk) => later(() => this.#pass(chunk, from, to, budget, cut)));
    }
  }

  #pass(
    chunk: Buffer,
    from: Socket,
    to: Socket,
    budget: { bytes: number },
    cut: (from: Socket, to: Socket) => void,
  ): void {
    if (to.destroyed || budget.bytes < 0) return;
    if (!this.isCutting || chunk.length < budget.bytes) {
      if (this.isCutting) budget.bytes -= chunk.length;
      to.write(chunk);
      return;
    }
    // The last bytes that pass, often a part of a message.
    to.write(chunk.subarray(0, budget.bytes), () => cut(from, to));
    budget.bytes = -1;
    this.cuts++;
  }

  #isSilenced(side: 'clients' | 'server'): boolean {
    return this.silenced === side || this.silenced === 'both';
  }

  /** Runs the given actions in order, each after a delay, unless that side is silenced. */
  #lane(side: 'clients' | 'server'): (work: () => void) => void {
    let waiting = 0;
    let last = Promise.resolve();
    return (work) => {
      const run = (): void => {
        if (!this.#isSilenced(side)) work();
      };
      const delayMs = this.maxDelayMs === 0 ? 0 : this.#random.below(this.maxDelayMs + 1);
      if (delayMs === 0 && waiting === 0) {
        run();
        return;
      }
      waiting++;
      last = last
        .then(() => new Promise<void>((resolve) => setTimeout(resolve, delayMs)))
        .then(() => {
          waiting--;
          run();
        });
    };
  }

  /**
   * Breaks a connection in one way. The proxy no longer reads the side that a half-close leaves.
   */
  #drawCut(client: Socket, server: Socket): (from: Socket, to: Socket) => void {
    const destroyBoth = (): void => {
      client.destroy();
      server.destroy();
    };
    switch (this.#random.below(4)) {
      case 0:
        return () => {
          reset(client);
          reset(server);
        };
      case 1:
        return (_, to) => {
          // A FIN to the receiver of what is missing; the sender notices when that side ends.
          to.end();
        };
      case 2:
        // The client disconnects at once, the server learns it later: a resume meets the old
        // connection.
        return () => {
          reset(client);
          setImmediate(() => setImmediate(() => server.destroy()));
        };
      default:
        return destroyBoth;
    }
  }
}

/**
 * Ends a connection by a reset. Not if its end is on its way already: then Node can't, leaves the
 * handle open, and waits for it in vain when the process is about to exit.
 */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
