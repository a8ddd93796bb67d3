/**
 * Tokens, from files and the environment: never from the command line, which every user of the machine
 * can read. No message here repeats a token.
 */
import { statSync } from 'node:fs';
import { type Tokens, tokenFault } from '../protocol/auth.ts';
import { readRegularFile } from './regular-file.ts';

/** The sources of the tokens of one role. With both, all of their tokens are valid. */
export interface TokenSource {
  /** A path; '' for none. */
  readonly file: string;
  /** An environment variable, and its value; '' for none. */
  readonly variable: string;
  readonly value: string;
}

export interface TokenSources {
  readonly client: TokenSource;
  readonly admin: TokenSource;
}

export interface ReadTokens {
  readonly tokens: Tokens;
  /** Sentences for the operator. */
  readonly warnings: readonly string[];
}

/** The permission bit that lets every user read a file. */
const READABLE_BY_ALL = 0o004;

/** Whether there is a file to reload. */
export function hasTokenFile({ client, admin }: TokenSources): boolean {
  return client.file !== '' || admin.file !== '';
}

/** Reads the tokens, or says what is wrong; called again on each reload. */
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
    return `cannot read the token file ${file}: ${reason}`;
  }
  const tokens: string[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    const token = line.trim();
    if (token === '' || token.startsWith('#')) continue;
    const fault = tokenFault(token);
    if (fault !== undefined) return `invalid token file ${file}: line ${i + 1} ${fault}`;
    tokens.push(token);
  }
  // Otherwise a file emptied by mistake would open the server to every client.
  if (tokens.length === 0) return `the token file ${file} contains no token`;
  return tokens;
}

function warningOf(file: string): string | undefined {
  if (file === '' || process.platform === 'win32') return undefined;
  // The file may be missing for a moment while it is replaced.
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & READABLE_BY_ALL) === 0) return undefined;
  return `warning: every user of this machine can read the token file ${file}. Run chmod 600 on it`;
}
