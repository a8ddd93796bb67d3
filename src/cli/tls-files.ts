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
    const [what, begin] = PEM[name];
    if (!begin.test(files[name]?.toString('latin1') ?? '')) {
      return `--tls-${name}: ${path} has no ${what} in PEM, which begins with a line like -----BEGIN ${what.toUpperCase()}-----`;
    }
  }
  try {
    createSecureContext(files);
  } catch (error) {
    return `cannot use the certificate in ${cert} with the key in ${key}: ${reasonOf(error)}`;
  }
  return files;
}

/** What each file must contain, and the line that it begins with. */
const PEM: Readonly<Record<keyof TlsPaths, readonly [what: string, begin: RegExp]>> = {
  cert: ['certificate', /-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----/],
  key: ['private key', /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/],
  ca: ['certificate', /-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----/],
};

const NOTHING = Buffer.alloc(0);

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
