/** The connected clients: their numbers by kind, and the conversation with each. */
import type { Socket } from 'node:net';
import type { Session } from '../../session/session.ts';
import type { AcceptedConnection } from './listener.ts';

/** What a client speaks: JSON lines on TCP or a Unix socket, or WebSocket messages. */
export type ClientKind = 'lines' | 'websocket';

/** Called when clients connect and disconnect; for logs. */
export interface ClientObserver {
  connected(client: string, kind: ClientKind): void;
  /** @param session of the client, if it had begun one; it may live on without the client */
  disconnected(client: string, session: Session | undefined): void;
}

/** A conversation, which has to know when the server drains, stops, or may not speak any more. */
export interface Stoppable {
  readonly begun: Session | undefined;
  serverDraining(): void;
  shutDown(): void;
  /** Cuts the connection without a word. Its session is lost within the call. */
  cut(): void;
}

export class Clients {
  readonly #observer: ClientObserver | undefined;
  readonly #conversations = new Map<Socket, Stoppable>();
  /** Connected now. */
  readonly open = { lines: 0, websocket: 0 };
  /** Since the start. */
  readonly total = { lines: 0, websocket: 0 };

  constructor(observer: ClientObserver | undefined) {
    this.#observer = observer;
  }

  /** A client has been recognized; `converse` follows before its socket closes. */
  connected({ name }: AcceptedConnection, kind: ClientKind): void {
    this.open[kind]++;
    this.total[kind]++;
    this.#observer?.connected(name, kind);
  }

  /** When the socket closes, the conversation is told before the observer. */
  converse({ name, socket }: AcceptedConnection, conversation: Stoppable, kind: ClientKind): void {
    this.#conversations.set(socket, conversation);
    socket.on('close', () => {
      this.open[kind]--;
      this.#conversations.delete(socket);
      this.#observer?.disconnected(name, conversation.begun);
    });
  }

  /** Undefined while its protocol is unknown, and for HTTP. */
  conversationOn(socket: Socket): Stoppable | undefined {
    return this.#conversations.get(socket);
  }

  conversations(): Iterable<Stoppable> {
    return this.#conversations.values();
  }
}
