/**
 * The one port that clients of a cell know: leads each new connection to the server that is said to
 * serve. Connections stay with the server that they were led to, also if another one serves by then.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Where a server listens. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

export class Front {
  readonly #target: () => Target | undefined;
  readonly #listener = createServer((socket) => this.#lead(socket));
  /** Where each of them leads, or comes from. */
  readonly #sockets = new Map<Socket, Target>();

  /** @param target undefined while no server serves: then connections are ended */
  constructor(target: () => Target | undefined) {
    this.#target = target;
  }

  /** Listens; returns the port. */
  async listen(): Promise<number> {
    this.#listener.listen(0, '127.0.0.1');
    await once(this.#listener, 'listening');
    return (this.#listener.address() as AddressInfo).port;
  }

  /** Ends those connections to `target` for which `isPicked` says so. */
  cut(target: Target, isPicked: () => boolean): void {
    for (const [socket, its] of this.#sockets) if (its === target && isPicked()) socket.destroy();
  }

  close(): void {
    this.#listener.close();
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  #lead(socket: Socket): void {
    const target = this.#target();
    if (target === undefined) {
      socket.destroy();
      return;
    }
    const { host, port } = target;
    const to = connect({ port, host, noDelay: true });
    for (const [one, other] of [
      [socket, to],
      [to, socket],
    ] as const) {
      this.#sockets.set(one, target);
      one.setNoDelay(true);
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}
