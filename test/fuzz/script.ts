/** Draws the input of one connection: its target, its faults, and where it is cut. */
import { Buffer } from 'node:buffer';
import type { Limits } from '../../src/runtime/limits.ts';
import { randomPieces } from '../support/cut-anywhere.ts';
import type { Random } from '../support/random.ts';
import { BINARY, CLOSE, FIN, frame, PING, PONG, TEXT } from '../support/websocket-frames.ts';
import { crookedFrame, damaged, randomBytes } from './bytes.ts';
import { type Kind, QUESTION, type Script } from './client.ts';
import { type Foresight, foreseeFrames, foreseeLines } from './foresight.ts';
import { headOf, oddRequest, upgradeLines, webSocketPath } from './heads.ts';
import { sessionMessage, type Vocabulary, v1Message } from './messages.ts';

const KINDS: readonly Kind[] = ['lines', 'lines', 'lines', 'http', 'v1', 'v2', 'v2'];
const ENDINGS = ['ask', 'ask', 'ask', 'ask', 'half-close', 'reset', 'stay', 'stay'] as const;
const NOTHING_SURE: Foresight = { fate: 'unknown', codes: [] };

/** The bytes to send, and the fate that the pure layers predict. */
interface Stream {
  readonly bytes: Buffer;
  readonly foresight: Foresight;
}

export function drawScript(random: Random, words: Vocabulary, limits: Limits): Script {
  const kind = random.pick(KINDS);
  const { bytes, foresight } = drawStream(random, kind, words, limits);
  const ending = random.pick(ENDINGS);
  const isCutShort = ending === 'reset' || (ending === 'half-close' && random.oneIn(2));
  const sent = isCutShort ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
  // Some dozens of packets are enough, whatever the length.
  const least = 1 + Math.ceil(sent.length / 20);
  const size = Math.max(least, random.pick([1, 200, 2000, 65_536]));
  return {
    kind,
    pieces: randomPieces(sent, size, random),
    foresight: ending === 'ask' && !words.isGuarded ? foresight : NOTHING_SURE,
    ending,
    reads: ending === 'ask' || !random.oneIn(4),
  };
}

function drawStream(random: Random, kind: Kind, words: Vocabulary, limits: Limits): Stream {
  if (kind === 'lines') return drawLines(random, words, limits);
  if (kind === 'http') return drawRequests(random, words);
  return drawFrames(random, kind, words, limits);
}

function drawLines(random: Random, words: Vocabulary, limits: Limits): Stream {
  const oddsOfFault = random.pick([0, 3, 10]);
  const resume = `{"action":"hello","session":${JSON.stringify(words.sessions[0])}}\n`;
  const lines = Array.from({ length: 1 + random.below(random.pick([4, 40])) }, () => {
    const text = sessionMessage(random, words, oddsOfFault);
    const end = random.oneIn(8) ? random.pick(['\r\n', '\n\n', '\r', ' \n']) : '\n';
    const line = Buffer.from(text + end, random.oneIn(40) ? 'utf16le' : 'utf8');
    return random.oneIn(200) ? Buffer.concat([tooLong(random, limits), line]) : line;
  });
  if (random.oneIn(16)) lines.unshift(Buffer.from(resume));
  const good = Buffer.concat(lines);
  const sent = random.oneIn(3) ? damaged(random, good, lines) : good;
  const question = `\n{"action":"ping","ref":"${QUESTION}"}\n`;
  const bytes = Buffer.concat([sent, Buffer.from(question)]);
  return { bytes, foresight: foreseeLines(bytes, limits) };
}

function tooLong(random: Random, { maxMessageBytes }: Limits): Buffer {
  const filler = random.pick(['[', '{"a":', 'x', '\0', '\r', '🐙']);
  return Buffer.alloc(maxMessageBytes - 10 + random.below(30), filler);
}

function drawRequests(random: Random, words: Vocabulary): Stream {
  const requests = Array.from({ length: 1 + random.below(3) }, () =>
    Buffer.from(oddRequest(random, words), 'latin1'),
  );
  const good = Buffer.concat(requests);
  const bytes = random.oneIn(3) ? damaged(random, good, requests) : good;
  return { bytes, foresight: NOTHING_SURE };
}

function drawFrames(random: Random, kind: 'v1' | 'v2', words: Vocabulary, limits: Limits): Stream {
  const path = webSocketPath(random, kind, words);
  const head = Buffer.from(headOf(upgradeLines(path)), 'latin1');
  const oddsOfFault = random.pick([0, 3, 10]);
  const frames = Array.from({ length: 1 + random.below(8) }, () => {
    const text =
      kind === 'v1'
        ? v1Message(random, words, oddsOfFault)
        : sessionMessage(random, words, oddsOfFault);
    return drawMessage(random, Buffer.from(text), limits);
  });
  const isCrooked = random.oneIn(2);
  const sent = frames.map((bytes) =>
    isCrooked && random.oneIn(3) ? crookedFrame(random, bytes) : bytes,
  );
  const good = Buffer.concat(sent);
  const body = random.oneIn(4) ? damaged(random, good, frames) : good;
  const all = Buffer.concat([body, frame(FIN | PING, QUESTION)]);
  const bytes = Buffer.concat([head, all]);
  // With a wrong token there is no handshake, and so there are no frames.
  const isSure = !path.includes('token=');
  const foresight = isSure ? foreseeFrames(kind, all, QUESTION, limits) : NOTHING_SURE;
  return { bytes, foresight };
}

/** One message as frames: whole, in fragments, with control frames in between. */
function drawMessage(random: Random, payload: Buffer, limits: Limits): Buffer {
  const opcode = random.oneIn(5) ? BINARY : TEXT;
  const parts = random.oneIn(3)
    ? randomPieces(payload, 1 + Math.ceil((2 * payload.length) / limits.maxFragments), random)
    : [payload];
  const frames = parts.flatMap((part, i) => {
    const first = (i === parts.length - 1 ? FIN : 0) | (i === 0 ? opcode : 0);
    const control = random.oneIn(10) ? [drawControl(random)] : [];
    return [frame(first, part), ...control];
  });
  if (random.oneIn(30)) frames.push(frame(FIN | TEXT, Buffer.alloc(limits.maxMessageBytes + 1)));
  if (random.oneIn(30)) frames.push(...Array.from({ length: 40 }, () => frame(TEXT)));
  return Buffer.concat(frames);
}

function drawControl(random: Random): Buffer {
  const opcode = random.pick([PING, PING, PONG, CLOSE]);
  const payload = opcode === CLOSE ? closePayload(random) : randomBytes(random, random.below(126));
  return frame(FIN | opcode, payload);
}

function closePayload(random: Random): Buffer {
  const code = Buffer.alloc(2);
  code.writeUInt16BE(random.pick([1000, 1001, 1005, 1006, 3000, 4000, 5000, 0]));
  return random.pick([
    Buffer.alloc(0),
    code,
    Buffer.concat([code, Buffer.from('é')]),
    code.subarray(1),
  ]);
}
