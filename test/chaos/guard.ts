/**
 * Counters that must not lose an update, as locks are for, kept by a guard that trusts no lock.
 *
 * A client reads a counter and writes it back, one higher, with the id of its lock both times. The
 * guard refuses an id that is smaller than one it has seen. A read has to show the id, too:
 * otherwise a client that lost its lock could still write between the read and the write of the
 * next holder, whose id the guard had not seen yet, and that holder would overwrite it.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

interface Counter {
  value: number;
  /** The largest id seen. */
  id: number;
  accepted: number;
}

export class Guard {
  readonly #counters = new Map<string, Counter>();
  rejected = 0;
  /** Accepted writes that were not one more than the value before: lost updates. */
  readonly lost: string[] = [];

  /** The value of that counter; undefined if the guard has seen a later lock. */
  read(name: string, id: number): number | undefined {
    return this.#admit(name, id)?.value;
  }

  /** Whether the write was accepted. */
  write(name: string, id: number, value: number): boolean {
    const counter = this.#admit(name, id);
    if (counter === undefined) return false;
    if (value !== counter.value + 1) {
      this.lost.push(`${name}: lock ${id} wrote ${value} over ${counter.value}`);
    }
    counter.value = value;
    counter.accepted++;
    return true;
  }

  /** The number of accepted writes, and the sum of all counters: equal if no update was lost. */
  get sums(): { accepted: number; values: number } {
    const sums = { accepted: 0, values: 0 };
    for (const { accepted, value } of this.#counters.values()) {
      sums.accepted += accepted;
      sums.values += value;
    }
    return sums;
  }

  /** Serves clients in other processes until the test ends; returns the port. */
  async listen(t: TestContext): Promise<number> {
    const listener = createServer((socket) => this.#serve(socket));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    t.after(() => listener.close());
    return (listener.address() as AddressInfo).port;
  }

  #admit(name: string, id: number): Counter | undefined {
    const counter = this.#counters.get(name) ?? { value: 0, id: 0, accepted: 0 };
    this.#counters.set(name, counter);
    if (id < counter.id) {
      this.rejected++;
      return undefined;
    }
    counter.id = id;
    return counter;
  }

  #serve(socket: Socket): void {
    // Its process was killed. The interface passes the error on.
    const lines = createInterface({ input: socket }).on('error', () => socket.destroy());
    lines.on('line', (line) => {
      const { name, id, value } = JSON.parse(line);
      const answer = value === undefined ? this.read(name, id) : this.write(name, id, value);
      if (!socket.destroyed) socket.write(`${JSON.stringify(answer ?? null)}\n`);
    });
  }
}

/** The guard's interface for a client in another process. */
export class GuardClient {
  readonly #socket: Socket;
  readonly #waiting: ((answer: unknown) => void)[] = [];

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    createInterface({ input: this.#socket }).on('line', (line) => {
      this.#waiting.shift()?.(JSON.parse(line));
    });
  }

  /** Adds one to a counter under the lock with that id; `between` comes between read and write. */
  async increment(name: string, id: number, between: () => Promise<void>): Promise<void> {
    const value = await this.#ask({ name, id });
    if (typeof value !== 'number') return;
    await between();
    await this.#ask({ name, id, value: value + 1 });
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(question: object): Promise<unknown> {
    this.#socket.write(`${JSON.stringify(question)}\n`);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
