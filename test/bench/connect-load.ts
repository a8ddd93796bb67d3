/**
 * Clients that connect for one lock each, one after another in every lane: hello, lock, bye, and the
 * end of the connection.
 */
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { lockRequest, type ResourceText } from './requests.ts';
import { type Figures, InFlight, type Load } from './sample.ts';

const LF = 0x0a;
const BYE = '{"action":"bye"}\n';

export class ConnectLoad implements Load {
  readonly #port: number;
  readonly #lanes: readonly Lane[];
  #isRunning = false;
  readonly #inFlight = new InFlight();
  done = 0;

  /** @param wanted what each lane locks */
  constructor(port: number, wanted: readonly ResourceText[]) {
    this.#port = port;
    this.#lanes = wanted.map((resource) => ({
      begin: Buffer.from(`{"action":"hello"}\n${lockRequest([resource])}\n`),
      buffer: Buffer.alloc(512),
    }));
  }

  get isMeasured(): boolean {
    return this.done > 0;
  }

  start(): void {
    this.done = 0;
    this.#isRunning = true;
    this.#inFlight.begin(this.#lanes.length);
    for (const lane of this.#lanes) this.#connect(lane);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#inFlight.ended();
  }

  figures(): Figures {
    return {};
  }

  #connect(lane: Lane): void {
    let missing = 2;
    const callback = (length: number): boolean => {
      for (let i = 0; i < length; i++) if (lane.buffer[i] === LF) missing--;
      if (missing === 0) socket.write(BYE);
      return true;
    };
    const onread = { buffer: lane.buffer, callback };
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true, onread });
    socket.write(lane.begin);
    socket.on('close', () => {
      if (missing >= 0) throw new Error('a connection ended before its bye');
      this.done++;
      if (this.#isRunning) this.#connect(lane);
      else this.#inFlight.end();
    });
  }
}

interface Lane {
  readonly begin: Buffer;
  readonly buffer: Buffer;
}
