/** A message of that text, as a transport would hand it over. */
import { Buffer } from 'node:buffer';
import { Message } from '../../src/runtime/message.ts';

export function messageOf(text: string): Message {
  return new Message(Buffer.from(text));
}
