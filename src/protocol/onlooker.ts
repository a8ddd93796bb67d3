/**
 * One connection as it looks on: what it asks about the locks of its namespace, whosever they are, and
 * what it hears of them unasked. It takes and gives nothing.
 */
import type { Namespace } from '../session/namespace.ts';
import { VERSION } from '../version.ts';
import type { Answers } from './answers.ts';
import type { Channel } from './channel.ts';
import type { ProtocolHost } from './conversation-host.ts';
import { helpLines } from './help.ts';
import { answerInspect } from './inspection.ts';
import type { InspectRequest, PlainRequest, WatchRequest } from './requests.ts';
import { statsFields } from './session-fields.ts';
import { answerWatch, Watching } from './watching.ts';

export type LookRequest = InspectRequest | WatchRequest | PlainRequest;

export class Onlooker {
  readonly #host: ProtocolHost;
  readonly #channel: Channel;
  readonly #answers: Answers;
  /** Made for the first path that is watched. */
  #watching: Watching | undefined;

  constructor(host: ProtocolHost, channel: Channel, answers: Answers) {
    this.#host = host;
    this.#channel = channel;
    this.#answers = answers;
  }

  /** @param namespace the connection's own, the same each time */
  answer(request: LookRequest, namespace: Namespace): void {
    const [host, channel, answers] = [this.#host, this.#channel, this.#answers];
    switch (request.action) {
      case 'inspect':
        answerInspect(request, namespace, host.clock.now(), channel, answers);
        break;
      case 'watch':
      case 'unwatch':
        this.#watching ??= new Watching(channel, namespace);
        answerWatch(request, this.#watching, host.limits, answers);
        break;
      case 'ping':
        answers.fields('ping', request.ref, {});
        break;
      case 'help':
        for (const line of helpLines(VERSION)) answers.fields('help', request.ref, line);
        break;
      case 'stats':
        answers.fields('stats', request.ref, statsFields(namespace));
    }
  }

  /** The client has read what was waiting for it. */
  onWritable(): void {
    this.#watching?.onWritable();
  }

  /** It hears nothing any more. */
  stop(): void {
    this.#watching?.stop();
  }
}
