/**
 * Runs the transcripts of the documents against a real server.
 *
 *     A> what client A sends           A< what it is sent, next
 *     A< (the server ends the connection)
 *     A# the connection breaks         # 1500 ms later         # the server drains, or restarts
 *     A# the client closes with 1000
 *
 * Ids and names of sessions in a document stand for those that the server assigns: each for the
 * same one throughout the transcript. `…` stands for any text.
 */
import assert from 'node:assert/strict';

/** A client of either protocol, as far as a transcript needs one. */
export interface TranscriptClient {
  say(message: string): void;
  hear(): Promise<string>;
  /** Resolves when the server has ended the connection; says how, in the document's words. */
  ended(): Promise<string>;
  /** Breaks the connection; resolves when the server has noticed. */
  break(): Promise<void>;
  /** Closes a WebSocket with that code. */
  close?(code: number): void;
}

/** What a transcript runs against. */
export interface Stage {
  /** Called for each client when it first appears. */
  connect(): Promise<TranscriptClient>;
  /** Begins to drain. */
  drain(): void;
  /** Begins to restart; later clients are of the next server. */
  restart(): void;
  /** Advances time. */
  advance(ms: number): void;
}

export interface Transcript {
  /** The protocol: the rest of the block's first line, after `transcript`. */
  readonly kind: string;
  readonly lines: readonly string[];
  /** Where the block begins, for messages. */
  readonly name: string;
}

/** An id, or the name of a session. */
const ID = /\b\d{16}\b|(?<=")[-_A-Za-z0-9]{32}(?=")/g;

/** Blocks of a Markdown document whose info string begins with `language`. */
export function blocksOf(
  markdown: string,
  language: string,
): { info: string; text: string; line: number }[] {
  const blocks: { info: string; text: string; line: number }[] = [];
  const fence = /^( *)```(\S+)([^\n]*)\n([\s\S]*?)^\1```$/gm;
  for (const { 2: name, 3: info = '', 4: text = '', index } of markdown.matchAll(fence)) {
    const line = markdown.slice(0, index).split('\n').length;
    if (name === language) blocks.push({ info: info.trim(), text, line });
  }
  return blocks;
}

export function transcriptsOf(file: string, markdown: string): Transcript[] {
  return blocksOf(markdown, 'transcript').map(({ info, text, line }) => ({
    kind: info,
    lines: text.split('\n').filter((entry) => entry !== ''),
    name: `${file}:${line}`,
  }));
}

export async function play(transcript: Transcript, stage: Stage): Promise<void> {
  const clients = new Map<string, TranscriptClient>();
  const ids = new IdMap();
  for (const line of transcript.lines) {
    const [, name = '', kind, text = ''] = /^([A-Z]?)([<>#]) (.*)$/.exec(line) ?? [];
    assert.notEqual(kind, undefined, `not a line of a transcript: ${line}`);
    if (name === '' && text === 'the server drains') {
      stage.drain();
      continue;
    }
    if (name === '' && text === 'the server restarts') {
      stage.restart();
      continue;
    }
    if (name === '') {
      stage.advance(Number(/^(\d+) ms later$/.exec(text)?.[1]));
      continue;
    }
    const client = clients.get(name) ?? (await stage.connect());
    clients.set(name, client);
    if (kind === '>') client.say(ids.toActual(text));
    else if (kind === '#') await leave(client, text);
    else if (text.startsWith('(')) assert.equal(await client.ended(), text);
    else assertSays(ids.toDocumented(await client.hear(), text), text);
  }
}

async function leave(client: TranscriptClient, how: string): Promise<void> {
  const [, code] = /^the client closes with (\d{4})$/.exec(how) ?? [];
  if (code !== undefined && client.close !== undefined) client.close(Number(code));
  else await client.break();
}

/** Compares; `…` in the document matches any text. */
export function assertSays(actual: string, documented: string): void {
  if (!documented.includes('…')) {
    assert.equal(actual, documented);
    return;
  }
  const pattern = documented.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  assert.match(actual, new RegExp(`^${pattern.join('.*')}$`));
}

/** Maps the document's ids to the server's. */
export class IdMap {
  readonly #actual = new Map<string, string>();

  toActual(text: string): string {
    return text.replace(ID, (id) => this.#actual.get(id) ?? id);
  }

  /** `actual` with the document's ids; ids that are new to both are paired in order. */
  toDocumented(actual: string, documented: string): string {
    const expected = documented.match(ID) ?? [];
    let at = 0;
    return actual.replace(ID, (id) => {
      for (const [known, value] of this.#actual) if (value === id) return known;
      const next = expected.slice(at++).find((candidate) => !this.#actual.has(candidate));
      if (next === undefined) return id;
      this.#actual.set(next, id);
      return next;
    });
  }
}
