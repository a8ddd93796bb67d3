/** Certificates and tokens, which are read again while the server runs. */
import { plural } from '../runtime/text.ts';
import type { Server } from '../server.ts';
import type { ServerOptions } from '../server-options.ts';
import type { Log } from './log.ts';
import type { Settings } from './settings.ts';
import { HANG_UP_LINE } from './texts.ts';
import { readTlsFiles } from './tls-files.ts';
import { hasTokenFile, readTokens } from './tokens.ts';

/** The options as they are after a reload; those that can't be read are left out. */
export function secretsNow({ tls, tokens }: Settings): Partial<ServerOptions> {
  const files = readTlsFiles(tls);
  const read = readTokens(tokens);
  return {
    ...(typeof files === 'object' ? { tls: files } : {}),
    ...(typeof read === 'object'
      ? { tokens: read.tokens.client, adminTokens: read.tokens.admin }
      : {}),
  };
}

/**
 * See `RunningServer.reload`.
 *
 * @param server the one that serves now
 */
export function reloadOf(
  server: () => Server,
  settings: Settings,
  log: Log,
  hasTerminal: boolean,
): (() => void) | undefined {
  const hasTls = settings.tls.cert !== '';
  const hasTokens = hasTokenFile(settings.tokens);
  if (!hasTls && !hasTokens)
    return hasTerminal ? undefined : () => log.add('hang_up_ignored', HANG_UP_LINE);
  return () => {
    if (hasTls) reloadTls(server(), settings, log);
    if (hasTokens) reloadTokens(server(), settings, log);
  };
}

function reloadTls(server: Server, { tls }: Settings, log: Log): void {
  const files = readTlsFiles(tls);
  if (files === undefined) return;
  if (typeof files === 'string') {
    log.add('reload_failed', `${files}; keeping the current certificate`);
    return;
  }
  server.setTls(files);
  log.add('reloaded', 'reloaded the certificate and its key');
}

function reloadTokens(server: Server, { tokens }: Settings, log: Log): void {
  const read = readTokens(tokens);
  if (typeof read === 'string') {
    log.add('reload_failed', `${read}; keeping the current tokens`);
    return;
  }
  server.setTokens(read.tokens);
  for (const warning of read.warnings) log.add('configuration', warning);
  const { client, admin } = read.tokens;
  const what = `${plural(client.length, 'token')} and ${plural(admin.length, 'admin token')}`;
  log.add('reloaded', `reloaded ${what}`);
}
