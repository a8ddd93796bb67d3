/** A conversation by itself: its channel only collects what is said. */

import assert from 'node:assert/strict';
import { Auth } from '../../src/protocol/auth.ts';
import type { Channel } from '../../src/protocol/channel.ts';
import { SessionProtocol } from '../../src/protocol/session-protocol.ts';
import type { SessionHost } from '../../src/session/session-host.ts';
import type { Reply } from './line-client.ts';
import { messageOf } from './message.ts';
import type { setUp } from './session-host.ts';

type Host = SessionHost & ReturnType<typeof setUp>['host'];

/** @param parts of the channel that are not as usual; they may change later */
export function converse(host: Host, parts: Partial<Channel> = {}) {
  const said: Reply[] = [];
  const say = (text: string): void => void said.push(JSON.parse(text));
  const channel = {
    ...{ client: '192.0.2.1:7', locality: 'loopback', unreadBytes: 0, reply: say, notify: say },
    ...{
      heldAgoMs: Number.POSITIVE_INFINITY,
      yieldTurn: () => {},
      admitted: () => {},
      end: () => {},
    },
    ...parts,
  };
  const protocolHost = {
    ...{ ...host, auth: new Auth({ client: [], admin: [] }), adminObserver: undefined },
    ...{ defaultAbandonTimeoutMs: 1000, startedMs: 0 },
    authFailed: () => assert.fail('no token is wanted here'),
  };
  const conversation = new SessionProtocol(protocolHost, channel as Channel);
  const ask = (message: object): Reply => {
    conversation.receive(messageOf(JSON.stringify(message)));
    return said.at(-1) ?? assert.fail('no answer');
  };
  return { conversation, channel, said, ask };
}
