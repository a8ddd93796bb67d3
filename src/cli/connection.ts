/**
 * What the verbs need to reach the server: the options that they share, the client made of them, and
 * the exit codes of what can go wrong.
 */
import { readFileSync } from 'node:fs';
import {
  type Client,
  type ConnectOptions,
  connect,
  LocktopusError,
  ProtocolError,
  type TlsOptions,
  UnreachableError,
} from '../client/index.ts';
import { printable } from '../operators/printable.ts';
import type { Arguments, VerbOption } from './arguments.ts';
import { nearest } from './nearest.ts';
import { type VerbContext, VerbExit } from './verb.ts';

/** The options of every verb that talks to a server. */
export const CONNECTION_OPTIONS: readonly VerbOption[] = [
  {
    flag: 'url',
    values: ['URL'],
    help: 'the server [LOCKTOPUS_URL, or locktopus://localhost:9009]',
  },
  { flag: 'namespace', values: ['NAME'], help: 'the namespace [that of the URL, or default]' },
  {
    flag: 'token-file',
    values: ['PATH'],
    help: 'file that contains the token [LOCKTOPUS_TOKEN]',
  },
  { flag: 'tls-ca', values: ['PATH'], help: "CA certificates in PEM instead of Node's" },
  { flag: 'tls-cert', values: ['PATH'], help: "this client's certificate in PEM" },
  { flag: 'tls-key', values: ['PATH'], help: 'private key of that certificate, in PEM' },
];

/** For the notes of a verb. */
export const CONNECTION_NOTES = `URLs: locktopus://HOST:PORT/NAMESPACE, locktopuss://… (TLS), unix:/PATH?namespace=NAME, ws://…,
wss://… (these two with Node 22 or later). Several hosts, tried in turn: locktopus://a,b:9010/shop.`;

/** How to reach the server; see `connect`. */
export interface Connection {
  readonly url: string | undefined;
  readonly options: Pick<ConnectOptions, 'namespace' | 'token' | 'tls'>;
}

/** Variables of the environment that verbs read. */
const VARIABLES = ['LOCKTOPUS_URL', 'LOCKTOPUS_TOKEN'];
const PREFIX = 'LOCKTOPUS_';

/** @returns a sentence without its full stop if the options are a mistake */
export function connectionFrom(given: Arguments, { env, err }: VerbContext): Connection | string {
  for (const warning of misspeltVariables(env)) err(`locktopus: ${warning}\n`);
  const url = given.value('url') ?? (env.LOCKTOPUS_URL || undefined);
  if (url !== undefined && /^wss?:/.test(url) && !('WebSocket' in globalThis)) {
    return 'ws:// and wss:// need Node 22 or later: use locktopus:// or locktopuss:// instead';
  }
  const tls = tlsFrom(given);
  if (typeof tls === 'string') return tls;
  if (tls !== undefined && !url?.startsWith('locktopuss:')) {
    return '--tls-ca, --tls-cert and --tls-key have no effect: the URL must begin with locktopuss://';
  }
  const file = given.value('token-file');
  const token = file === undefined ? env.LOCKTOPUS_TOKEN || undefined : readToken(file);
  if (typeof token === 'object') return token.mistake;
  return { url, options: { namespace: given.value('namespace'), token, tls } };
}

/**
 * Connects. Rejects as `connect` does; see `report`.
 *
 * @param more further options of the client
 * @returns a sentence without its full stop if the URL is a mistake
 */
export async function open(
  { url, options }: Connection,
  more: ConnectOptions,
): Promise<Client | string> {
  try {
    return await connect(url, { ...options, ...more });
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
}

/**
 * Does `work` with a client, which is closed afterwards; reports what the server refuses.
 *
 * @returns the exit code; or a sentence without its full stop if the options are a mistake
 */
export async function withClient(
  given: Arguments,
  context: VerbContext,
  work: (client: Client) => Promise<number>,
): Promise<number | string> {
  const connection = connectionFrom(given, context);
  if (typeof connection === 'string') return connection;
  try {
    const client = await open(connection, {});
    if (typeof client === 'string') return client;
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  } catch (error) {
    return report(error, context);
  }
}

/** Says what went wrong with the server. Returns the exit code; throws what is a bug. */
export function report(error: unknown, { err }: VerbContext): number {
  const explained = explain(error);
  if (explained === undefined) throw error;
  // A server may quote what other clients chose.
  err(`locktopus: ${printable(explained.message)}.\n`);
  return explained.code;
}

/** Codes with which the server says that what was typed can't be right. */
const MISTAKES: ReadonlySet<string> = new Set([
  'bad_request',
  'message_too_long',
  'path_too_long',
  'segment_too_long',
  'too_many_resources',
]);

/** What went wrong with the server, and the exit code; undefined if it is a bug of this program. */
function explain(error: unknown): { message: string; code: number } | undefined {
  if (!(error instanceof LocktopusError)) return undefined;
  const { message, code } = error;
  if (error instanceof UnreachableError) return { message, code: VerbExit.unreachable };
  if (error instanceof ProtocolError) return { message, code: VerbExit.protocol };
  // The server's own sentences are for those who write the messages themselves.
  if (code === 'unauthorized') {
    const message =
      'the token is missing or wrong: give a valid one by --token-file or LOCKTOPUS_TOKEN';
    return { message, code: VerbExit.noPermission };
  }
  if (code === 'no_such_lock' || code === 'no_such_session') {
    return { message, code: VerbExit.notFound };
  }
  if (MISTAKES.has(code)) return { message, code: VerbExit.usage };
  if (code === 'forbidden') {
    // Only the server knows whether it has admin tokens, or trusts local connections instead.
    const hint = 'this command takes a token from --token-file or LOCKTOPUS_TOKEN';
    return { message: `${message}; ${hint}`, code: VerbExit.noPermission };
  }
  return { message, code: VerbExit.notAcquired };
}

/** Sentences about variables of the environment that are probably misspelt. They repeat no value. */
function misspeltVariables(env: VerbContext['env']): string[] {
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith(PREFIX) || VARIABLES.includes(name)) return [];
    const near = nearest(name, VARIABLES, PREFIX.length);
    return near === undefined ? [] : `warning: ${name} is ignored. Did you mean ${near}?`;
  });
}

function tlsFrom(given: Arguments): TlsOptions | string | undefined {
  const files: { ca?: Buffer; cert?: Buffer; key?: Buffer } = {};
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = given.value(`tls-${name}`);
    if (path === undefined) continue;
    const file = readFile(path);
    if (typeof file === 'string') return `--tls-${name}: ${file}`;
    files[name] = file;
  }
  if ((files.cert === undefined) !== (files.key === undefined)) {
    return '--tls-cert and --tls-key go together: set both';
  }
  return Object.keys(files).length === 0 ? undefined : files;
}

/** The first line that is no comment. */
function readToken(path: string): string | { readonly mistake: string } {
  const file = readFile(path);
  if (typeof file === 'string') return { mistake: `--token-file: ${file}` };
  const lines = file.toString('utf8').split('\n');
  const token = lines.map((line) => line.trim()).find((line) => line !== '' && line[0] !== '#');
  return token ?? { mistake: `--token-file: ${path} contains no token` };
}

/** Unlike the server's files these may be pipes: a verb has nothing else to do meanwhile. */
function readFile(path: string): Buffer | string {
  try {
    return readFileSync(path);
  } catch (error) {
    return `cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
