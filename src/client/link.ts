/** One connection, whose messages are validated. Once it is over it reports nothing more. */
import { LocktopusError, ProtocolError } from './errors.ts';
import { decodeReply, type Reply } from './replies.ts';
import type { OpenTransport, Transport } from './transport.ts';
import type { Address } from './url.ts';

export interface LinkEvents {
  /** Whether the server has answered `hello`. */
  readonly isSettled: boolean;
  opened(link: Link): void;
  received(link: Link, reply: Reply): void;
  /** It has ended without `drop` or `close`; nothing follows. */
  broken(link: Link, error: LocktopusError): void;
}

export class Link {
  readonly address: Address;
  readonly #events: LinkEvents;
  readonly #transport: Transport;
  #isOpen = false;
  #isOver = false;

  constructor(open: OpenTransport, address: Address, token: string | undefined, to: LinkEvents) {
    this.address = address;
    this.#events = to;
    this.#transport = open(address, token, {
      opened: () => this.#opened(),
      message: (text) => this.#received(text),
      closed: (error) => this.#closed(error),
    });
  }

  send(message: object): void {
    this.sendText(JSON.stringify(message));
  }

  /** Sends a message that is text already. */
  sendText(text: string): void {
    if (!this.#isOver) this.#transport.send(text);
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

  #opened(): void {
    if (this.#isOver) return;
    this.#isOpen = true;
    this.#events.opened(this);
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
    const end = error === undefined ? 'was closed' : `failed: ${reasonOf(error, name)}`;
    const hint = this.#mayNeedTls(error)
      ? ` before the server answered; if that port speaks TLS, use ${otherScheme(name)}`
      : '';
    this.#break(
      new LocktopusError('unreachable', `the connection to ${name} ${end}${hint}`, error),
    );
  }

  /** A TLS port ends a connection that does not begin with a TLS handshake, without a word. */
  #mayNeedTls(error: Error | undefined): boolean {
    if (!this.#isOpen || this.#events.isSettled) return false;
    const isPlain = this.address.kind === 'tcp' && !this.address.secure;
    return isPlain && (error === undefined || ('code' in error && error.code === 'ECONNRESET'));
  }

  #break(error: LocktopusError): void {
    this.drop();
    this.#events.broken(this, error);
  }
}

/** How OpenSSL says that what arrived is no TLS; which one depends on its version. */
const NOT_TLS = /wrong version number|packet length too long/;

/** @param name of the address */
function reasonOf(error: Error, name: string): string {
  const reason = error.message || error.name;
  if (!NOT_TLS.test(reason)) return reason;
  return `that port does not speak TLS: start the server with --tls-cert, or use ${otherScheme(name)}`;
}

/** Each scheme beside the one that differs from it by TLS alone. */
const OTHER_SCHEMES: Readonly<Record<string, string>> = {
  locktopus: 'locktopuss',
  locktopuss: 'locktopus',
  ws: 'wss',
  wss: 'ws',
};

/** The same address with TLS, or without. */
function otherScheme(name: string): string {
  return name.replace(/^[a-z]+/, (scheme) => OTHER_SCHEMES[scheme] ?? scheme);
}
