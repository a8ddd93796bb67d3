/** A receiver that its sink pauses: nothing is lost, told twice, or told before it is asked to go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Receiver } from '../../../src/net/websocket/receiver.ts';
import { CHUNK_SIZES, piecesOf } from '../../support/cut-anywhere.ts';
import {
  eventsOf,
  type ReceiverEvent,
  recordingSink,
  WIDE,
} from '../../support/receiver-events.ts';
import { CLOSE, FIN, frame, PING, TEXT } from '../../support/websocket-frames.ts';

test('paused after each message, it tells what it would have told', () => {
  const bytes = () =>
    Buffer.concat([
      frame(FIN | TEXT, 'one'),
      frame(TEXT, 'tw'),
      frame(FIN | PING, 'p'),
      frame(FIN, 'o'),
      frame(FIN | TEXT, 'grün'),
      frame(FIN | TEXT, ''),
      frame(FIN | CLOSE, ''),
      frame(FIN | TEXT, 'late'),
    ]);
  const expected = eventsOf([bytes()]);
  for (const size of [...CHUNK_SIZES, 1000]) {
    const events: ReceiverEvent[] = [];
    const sink = recordingSink(events);
    const receiver = new Receiver(WIDE, {
      ...sink,
      text(message) {
        sink.text(message);
        receiver.pause();
      },
    });
    for (let piece of piecesOf(bytes(), size)) {
      for (let seen = texts(events); piece.length > 0; seen = texts(events)) {
        piece = piece.subarray(receiver.push(piece));
        assert.ok(texts(events) <= seen + 1, 'one message at a time');
      }
    }
    assert.deepEqual(events, expected);
  }
});

function texts(events: readonly ReceiverEvent[]): number {
  return events.filter(([name]) => name === 'text').length;
}
