/** The certificate and key of the program, read from their files and tried before they are used. */
import { createSecureContext } from 'node:tls';
import type { TlsFiles } from '../net/listen/listener.ts';
import { readRegularFile } from './regular-file.ts';

/** Paths; '' for none. */
export interface TlsPaths {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/**
 * Reads them, as often as it is asked to.
 *
 * @returns undefined when no certificate is asked for; a sentence, without its full stop, when
 *   something is wrong with what is
 */
export function readTlsFiles({ cert, key, ca }: TlsPaths): TlsFiles | string | undefined {
  if (cert === '' && key === '' && ca === '') return undefined;
  if (cert === '' || key === '') {
    return 'TLS needs both a certificate and its key: --tls-cert FILE and --tls-key FILE';
  }
  const files: { cert: Buffer; key: Buffer; ca?: Buffer } = { cert: NOTHING, key: NOTHING };
  for (const [name, path] of Object.entries({ cert, key, ca }) as [keyof TlsPaths, string][]) {
    if (path === '') continue;
    try {
      files[name] = readRegularFile(path);
    } catch (error) {
      return `--tls-${name}: ${path} can't be read: ${reasonOf(error)}`;
    }
  }
  try {
    createSecureContext(files);
  } catch (error) {
    return `the certificate in ${cert} and the key in ${key} can't be used: ${reasonOf(error)}`;
  }
  if (files.ca !== undefined && !files.ca.includes('-----BEGIN CERTIFICATE-----')) {
    return `--tls-ca: ${ca} has no certificate in it`;
  }
  return files;
}

const NOTHING = Buffer.alloc(0);

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
