/** Messages as a shell needs them: decoded whatever their `ref` is, and shown without secrets. */
import { ProtocolError } from '../client/errors.ts';
import { type Fields, parseMessage, type Reply, toReply } from '../client/replies.ts';

/** As `decodeReply`, but with any `ref`, among the fields: in a shell it may be text. */
export function decode(text: string): Reply | ProtocolError {
  const fields = parseMessage(text);
  if (fields instanceof ProtocolError) return fields;
  const reply = toReply({ ...fields, ref: undefined }, text);
  return reply instanceof ProtocolError ? reply : { ...reply, fields };
}

/** A message with what must not be shown: a token, and the name by which a session is taken over. */
export function withoutSecrets(fields: Fields): Fields {
  const hidden = Object.entries(fields).map(([name, value]) =>
    (name === 'token' || name === 'session') && value !== undefined ? [name, '…'] : [name, value],
  );
  return Object.fromEntries(hidden);
}

/** The fields of a message that was typed; none if it is no message. */
export function parsed(text: string): Fields {
  const fields = parseMessage(text);
  return fields instanceof ProtocolError ? {} : fields;
}
