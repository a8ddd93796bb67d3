/** One connection, whose messages are validated. Once it is over it reports nothing more. */
import { LocktopusError, ProtocolError } from './errors.ts';
import { decodeReply, type Reply } from './replies.ts';
import type { OpenTransport, Transport } from './transport.ts';
import type { Address } from './url.ts';

export interface LinkEvents {
  opened(link: Link): void;
  received(link: Link, reply: Reply): void;
  /** It has ended without `drop` or `close`; nothing follows. */
  broken(link: Link, error: LocktopusError): void;
}

export class Link {
  readonly address: Address;
  readonly #events: LinkEvents;
  readonly #transport: Transport;
  #isOver = false;

  constructor(open: OpenTransport, address: Address, token: string | undefined, to: LinkEvents) {
    this.address = address;
    this.#events = to;
    this.#transport = open(address, token, {
      opened: () => this.#isOver || to.opened(this),
      message: (text) => this.#received(text),
      closed: (error) => this.#closed(error),
    });
  }

  send(message: object): void {
    if (!this.#isOver) this.#transport.send(JSON.stringify(message));
  }

  /** Ends it at once. */
  drop(): void {
    this.#isOver = true;
    this.#transport.destroy();
  }

  /** Ends it when all that was sent has gone out. */
  close(): void {
    this.#isOver = true;
    this.#transport.close();
  }

  #received(text: string): void {
    if (this.#isOver) return;
    const reply = decodeReply(text);
    if (reply instanceof ProtocolError) this.#break(reply);
    else this.#events.received(this, reply);
  }

  #closed(error: Error | undefined): void {
    if (this.#isOver) return;
    const { name } = this.address;
    const message =
      error === undefined
        ? `the connection to ${name} was closed`
        : `the connection to ${name} failed: ${error.message || error.name}`;
    this.#break(new LocktopusError('unreachable', message, error));
  }

  #break(error: LocktopusError): void {
    this.drop();
    this.#events.broken(this, error);
  }
}
