/**
 * A shell's session: begun, resumed when the connection breaks, and replaced when it has ended, like
 * the client library's. But messages pass as text, as they are, because a shell shows them.
 */

import { connectFailure } from '../../client/connect-failure.ts';
import { Connector, type ConnectorEvents } from '../../client/connector.ts';
import type { Environment, Timer } from '../../client/environment.ts';
import { LocktopusError, ProtocolError, RefusedError } from '../../client/errors.ts';
import type { Link } from '../../client/link.ts';
import { DEFAULT_CONNECT_TIMEOUT_MS } from '../../client/options.ts';
import { decodeGreeting, type Greeting, outOfTurn, type Reply } from '../../client/replies.ts';
import type { Transport, TransportEvents } from '../../client/transport.ts';
import type { Address, Target } from '../../client/url.ts';
import { decode, withoutSecrets } from '../../operators/raw-messages.ts';

export interface RawSessionSettings {
  readonly namespace: string | undefined;
  readonly token: string | undefined;
  readonly label: string | undefined;
  /** Milliseconds; undefined leaves it to the server. */
  readonly abandonTimeoutMs: number | undefined;
}

export interface RawSessionEvents {
  /** Every message in either direction, without secrets. */
  sent(text: string): void;
  received(text: string): void;
  /** A session has begun. */
  began(greeting: Greeting, address: string): void;
  /** The session goes on, with exactly these locks. */
  resumed(locks: readonly Reply[], address: string): void;
  /** The session has ended, and with it its locks; another one will begin. */
  gone(message: string): void;
  /** The connection has ended; another one is being opened. */
  disconnected(message: string): void;
  /** A message of the session. */
  message(reply: Reply, text: string): void;
  /** There will be no more connections. */
  failed(error: LocktopusError): void;
  /** The server has confirmed `bye`. */
  ended(): void;
}

/** No proxy cuts a connection that is silent for so short a time. */
const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVE_REF = 'keep-alive';
/** Milliseconds for which `close` waits for the answer to `bye`. */
const GOODBYE_MS = 2000;

/** Unsolicited errors after which the session is over. */
const ENDINGS: ReadonlySet<string> = new Set(['evicted', 'taken_over', 'shutting_down']);

export class RawSession implements ConnectorEvents {
  readonly #environment: Environment;
  readonly #settings: RawSessionSettings;
  readonly #events: RawSessionEvents;
  readonly #connector: Connector;
  #transport: Transport | undefined;
  #state: 'seeking' | 'greeting' | 'listing' | 'ready' | 'over' = 'seeking';
  #address: Address | undefined;
  #greeting: Greeting | undefined;
  /** Whether the session of the greeting may still exist. */
  #isResumable = false;
  /** The locks of a resumed session that have been listed. */
  #list: Reply[] = [];
  #started: ((error: LocktopusError | undefined) => void) | undefined;
  #finished: (() => void) | undefined;
  #keepAlive: Timer | undefined;
  #isPingUnanswered = false;

  constructor(
    environment: Environment,
    target: Target,
    settings: RawSessionSettings,
    events: RawSessionEvents,
  ) {
    this.#settings = { ...settings, namespace: settings.namespace ?? target.namespace };
    this.#events = events;
    this.#environment = environment;
    const { token } = settings;
    this.#connector = new Connector(
      { ...environment, open: (address, token, to) => this.#open(address, token, to) },
      { addresses: target.addresses, token, attemptMs: DEFAULT_CONNECT_TIMEOUT_MS },
      this,
    );
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  /** Resolves when the first session has begun, or with the error if no address can be used. */
  start(): Promise<LocktopusError | undefined> {
    this.#environment.keepAlive(true);
    return new Promise((resolve) => {
      this.#started = resolve;
      this.#connector.start();
    });
  }

  /** Sends one message, as it is. Only while ready. */
  send(text: string): void {
    if (!this.isReady) return;
    this.#events.sent(text);
    this.#transport?.send(text);
  }

  /** Sends `bye` if there is a session, and ends. */
  async close(): Promise<void> {
    if (this.#state === 'over') return;
    const wasReady = this.isReady;
    if (wasReady) this.send('{"action":"bye"}');
    this.#state = 'over';
    this.#connector.stop();
    this.#keepAlive?.cancel();
    if (wasReady) {
      await new Promise<void>((resolve) => {
        const timer = this.#environment.clock.setTimer(GOODBYE_MS, resolve);
        this.#finished = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    this.#end();
  }

  opened(link: Link): void {
    this.#address = link.address;
    this.#hello();
  }

  /** Messages are taken as text, before they are decoded here. */
  received(): void {}

  disconnected(error: LocktopusError): void {
    this.#transport = undefined;
    this.#keepAlive?.cancel();
    if (this.#state === 'over') {
      this.#finished?.();
      return;
    }
    this.#state = 'seeking';
    this.#events.disconnected(error.message);
  }

  exhausted(failures: readonly LocktopusError[]): void {
    this.#transport = undefined;
    const { error, isFinal } = connectFailure(failures);
    if (this.#started !== undefined) {
      this.#started(error);
      this.#end();
    } else if (isFinal) {
      this.#end();
      this.#events.failed(error);
    } else {
      this.#state = 'seeking';
    }
  }

  /** A connection whose messages come here, as text, and not to the connector. */
  #open(address: Address, token: string | undefined, to: TransportEvents): Transport {
    const transport = this.#environment.open(address, token, {
      opened: () => to.opened(),
      closed: (error) => to.closed(error),
      message: (text) => {
        if (this.#transport === transport) this.#received(text);
      },
    });
    this.#transport = transport;
    return transport;
  }

  #end(): void {
    this.#state = 'over';
    this.#connector.stop();
    this.#connector.endLink(true);
    this.#environment.keepAlive(false);
  }

  #hello(): void {
    this.#state = 'greeting';
    const { namespace, label, abandonTimeoutMs } = this.#settings;
    const session = this.#isResumable ? this.#greeting?.session : undefined;
    // Over WebSocket the token went with the upgrade request.
    const token = this.#address?.kind === 'websocket' ? undefined : this.#settings.token;
    const fields = session === undefined ? { namespace, label, abandonTimeoutMs } : { session };
    const hello = { action: 'hello', token, ...fields };
    this.#events.sent(JSON.stringify(withoutSecrets(hello)));
    this.#transport?.send(JSON.stringify(hello));
  }

  #received(text: string): void {
    const reply = decode(text);
    if (reply instanceof ProtocolError) {
      if (this.#state === 'ready') this.#connector.drop(reply);
      else if (this.#state !== 'over') this.#connector.failed(reply);
      return;
    }
    if (reply.fields.ref === KEEP_ALIVE_REF) {
      this.#isPingUnanswered = false;
      return;
    }
    const isHello = reply.action === 'hello';
    this.#events.received(isHello ? JSON.stringify(withoutSecrets(reply.fields)) : text);
    this.#take(reply, text);
  }

  #take(reply: Reply, text: string): void {
    switch (this.#state) {
      case 'greeting':
        this.#greeted(reply);
        return;
      case 'listing':
        this.#list.push(reply);
        this.#listed();
        return;
      case 'ready':
        this.#heard(reply, text);
        return;
      case 'over':
        if (reply.action === 'bye') this.#finished?.();
        return;
      default:
    }
  }

  #greeted(reply: Reply): void {
    const { action, error } = reply;
    if (error?.code === 'no_such_session' && this.#isResumable) {
      this.#isResumable = false;
      this.#events.gone(error.message);
      this.#hello();
      return;
    }
    if (error !== undefined) {
      this.#connector.failed(new RefusedError(error.code, error.message, error.owner));
      return;
    }
    const greeting = action === 'hello' ? decodeGreeting(reply) : outOfTurn(reply);
    if (greeting instanceof ProtocolError) {
      this.#connector.failed(greeting);
      return;
    }
    this.#greeting = greeting;
    this.#list = [];
    this.#connector.settled();
    this.#state = 'listing';
    this.#listed();
  }

  /** Goes on once all locks of a resumed session are known. */
  #listed(): void {
    const { resumedLocks } = this.#greeting ?? {};
    if (this.#greeting === undefined || this.#list.length < (resumedLocks ?? 0)) return;
    this.#state = 'ready';
    this.#isResumable = true;
    this.#isPingUnanswered = false;
    this.#keepConnectionAlive();
    const { name = '' } = this.#address ?? {};
    if (resumedLocks === undefined) this.#events.began(this.#greeting, name);
    else this.#events.resumed(this.#list, name);
    this.#started?.(undefined);
    this.#started = undefined;
  }

  #heard(reply: Reply, text: string): void {
    const { action, error } = reply;
    if (action === undefined && error !== undefined && ENDINGS.has(error.code)) {
      this.#isResumable = false;
      this.#events.gone(error.message);
      return;
    }
    this.#events.message(reply, text);
    if (action === 'bye' && error === undefined) {
      this.#end();
      this.#events.ended();
    }
  }

  /** Keeps proxies from cutting an idle connection, and notices a server that is gone. */
  #keepConnectionAlive(): void {
    this.#keepAlive = this.#environment.clock.setTimer(KEEP_ALIVE_MS, () => {
      if (this.#isPingUnanswered) {
        this.#connector.drop(new LocktopusError('unreachable', 'the server has stopped answering'));
        return;
      }
      this.#isPingUnanswered = true;
      this.#transport?.send(JSON.stringify({ action: 'ping', ref: KEEP_ALIVE_REF }));
      this.#keepConnectionAlive();
    });
  }
}
