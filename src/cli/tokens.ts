/**
 * The tokens of the program, from files and the environment: never from the command line, which
 * everybody on the machine can read. Nothing here repeats a token.
 */
import { statSync } from 'node:fs';
import { type Tokens, tokenFault } from '../protocol/auth.ts';
import { readRegularFile } from './regular-file.ts';

/** Where tokens of one kind come from; both may be there, and then all of them count. */
export interface TokenSource {
  /** A path, or nothing. */
  readonly file: string;
  /** The environment variable that may hold one, and what it holds, or nothing. */
  readonly variable: string;
  readonly value: string;
}

export interface TokenSources {
  readonly client: TokenSource;
  readonly admin: TokenSource;
}

export interface ReadTokens {
  readonly tokens: Tokens;
  /** Sentences for whoever started the program. */
  readonly warnings: readonly string[];
}

/** Others on this machine may read a file with this bit. */
const READABLE_BY_ALL = 0o004;

/** Whether there is anything to be read again later. */
export function hasTokenFile({ client, admin }: TokenSources): boolean {
  return client.file !== '' || admin.file !== '';
}

/** Reads them, as often as it is asked to; or says what is wrong. */
export function readTokens({ client, admin }: TokenSources): ReadTokens | string {
  const clients = readSource(client);
  if (typeof clients === 'string') return clients;
  const admins = readSource(admin);
  if (typeof admins === 'string') return admins;
  const warnings = [client, admin].flatMap(({ file }) => warningOf(file) ?? []);
  return { tokens: { client: clients, admin: admins }, warnings };
}

function readSource({ file, variable, value }: TokenSource): readonly string[] | string {
  const fault = value === '' ? undefined : tokenFault(value);
  if (fault !== undefined) return `the token in ${variable} ${fault}`;
  const fromFile = file === '' ? [] : readTokenFile(file);
  if (typeof fromFile === 'string') return fromFile;
  return value === '' ? fromFile : [...fromFile, value];
}

function readTokenFile(file: string): readonly string[] | string {
  let text: string;
  try {
    text = readRegularFile(file).toString('utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `the token file ${file} can't be read: ${reason}`;
  }
  const tokens: string[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    const token = line.trim();
    if (token === '' || token.startsWith('#')) continue;
    const fault = tokenFault(token);
    if (fault !== undefined) return `the token file ${file} is wrong: line ${i + 1} ${fault}`;
    tokens.push(token);
  }
  // Otherwise a file that was emptied by mistake would open the server to everybody.
  if (tokens.length === 0) return `the token file ${file} has no token in it`;
  return tokens;
}

function warningOf(file: string): string | undefined {
  if (file === '' || process.platform === 'win32') return undefined;
  // It may be gone again, when it is just being replaced.
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & READABLE_BY_ALL) === 0) return undefined;
  return `warning: everybody on this machine can read the token file ${file}; chmod 600 it`;
}
