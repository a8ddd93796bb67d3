/** HTTP for tests: requests by `node:http`, and raw bytes for requests that it would not send. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { RawClient } from './raw-client.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** The address to connect to; loopback. */
  readonly host?: string;
}

/** Requests `path` on a connection of its own. */
export async function ask(port: number, path: string, options: AskOptions = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, host = '127.0.0.1' } = options;
  const asked = request({ port, host, path, method, headers, agent: false });
  asked.end(body);
  const [response]: IncomingMessage[] = await once(asked, 'response');
  if (response === undefined) throw new Error('no response');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, body: text };
}

/**
 * Sends `pieces`, letting the server read between them, and returns all that it sends until it
 * closes the connection.
 */
export async function exchange(port: number, ...pieces: string[]): Promise<string> {
  const client = new RawClient(port);
  for (const piece of pieces) await client.send(Buffer.from(piece, 'latin1'));
  await client.finish();
  return client.received.toString('latin1');
}

/** The status of each response in what `exchange` returned. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map((match) => Number(match[1]));
}

/** The text after the first empty line. */
export function bodyOf(received: string): string {
  return received.slice(received.indexOf('\r\n\r\n') + 4);
}
