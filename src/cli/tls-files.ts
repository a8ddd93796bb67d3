/** The TLS certificate, key and CAs: read from their files, and validated before they are used. */
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
 * Reads the files; called again on each reload.
 *
 * @returns undefined without TLS; a sentence, without its full stop, if a file can't be used
 */
export function readTlsFiles({ cert, key, ca }: TlsPaths): TlsFiles | string | undefined {
  if (cert === '' && key === '' && ca === '') return undefined;
  if (cert === '' || key === '') {
    return 'TLS needs both a certificate and its key: set --tls-cert and --tls-key';
  }
  const files: { cert: Buffer; key: Buffer; ca?: Buffer } = { cert: NOTHING, key: NOTHING };
  for (const [name, path] of Object.entries({ cert, key, ca }) as [keyof TlsPaths, string][]) {
    if (path === '') continue;
    try {
      files[name] = readRegularFile(path);
    } catch (error) {
      return `--tls-${name}: cannot read ${path}: ${reasonOf(error)}`;
    }
  }
  try {
    createSecureContext(files);
  } catch (error) {
    return `cannot use the certificate in ${cert} with the key in ${key}: ${reasonOf(error)}`;
  }
  if (files.ca !== undefined && !files.ca.includes('-----BEGIN CERTIFICATE-----')) {
    return `--tls-ca: ${ca} contains no certificate`;
  }
  return files;
}

const NOTHING = Buffer.alloc(0);

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
