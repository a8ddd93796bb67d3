/** The events that a `Receiver` makes of bytes, as values to compare. */

import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import {
  Receiver,
  type ReceiverLimits,
  type ReceiverSink,
} from '../../src/net/websocket/receiver.ts';
import { CHUNK_SIZES, piecesOf } from './cut-anywhere.ts';

/**
 * The name of the event and its arguments; binary in hexadecimal, a failure without its sentence.
 */
export type ReceiverEvent = readonly [string, ...(string | number | undefined)[]];

export const WIDE: ReceiverLimits = { maxMessageBytes: 32 * 1024 * 1024, maxFragments: 1_000_000 };

export function recordingSink(events: ReceiverEvent[]): ReceiverSink {
  return {
    text: (message) => events.push(['text', message.text]),
    binary: (message) => events.push(['binary', message.toString('hex')]),
    ping: (payload) => events.push(['ping', payload]),
    pong: (payload) => events.push(['pong', payload]),
    close: (code, reason) => events.push(['close', code, reason]),
    fail: (code, reason) => {
      assert.match(reason, /^[A-Z].*\.$/, 'a sentence');
      events.push(['fail', code]);
    },
  };
}

export function eventsOf(pieces: Iterable<Buffer>, limits = WIDE): ReceiverEvent[] {
  const events: ReceiverEvent[] = [];
  const receiver = new Receiver(limits, recordingSink(events));
  for (const piece of pieces) receiver.push(piece);
  return events;
}

/** The events of `bytes`, which must be the same however they are cut. */
export function eventsOfAnyCut(bytes: Buffer, limits = WIDE): ReceiverEvent[] {
  const whole = eventsOf(piecesOf(bytes, Number.POSITIVE_INFINITY), limits);
  for (const size of CHUNK_SIZES) {
    assert.deepEqual(eventsOf(piecesOf(bytes, size), limits), whole, `in pieces of ${size}`);
  }
  return whole;
}

/** The number of bytes, fed one by one, until the receiver fails; undefined if it does not. */
export function bytesUntilFailure(bytes: Buffer, limits = WIDE): number | undefined {
  const events: ReceiverEvent[] = [];
  const receiver = new Receiver(limits, recordingSink(events));
  for (const [at, piece] of piecesOf(bytes, 1).entries()) {
    receiver.push(piece);
    if (events.at(-1)?.[0] === 'fail') return at + 1;
  }
  return undefined;
}
