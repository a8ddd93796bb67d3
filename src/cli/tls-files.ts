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
    const missing = missingPem(name, files[name]?.toString('latin1') ?? '');
    if (missing !== undefined) return `--tls-${name}: ${path} ${missing}`;
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

/** The end of a sentence that says what the text of a file lacks, if so. */
export function missingPem(name: keyof TlsPaths, text: string): string | undefined {
  const [what, begin] = PEM[name];
  if (begin.test(text)) return undefined;
  return `has no ${what} in PEM, which begins with a line like -----BEGIN ${what.toUpperCase()}-----`;
}

const NOTHING = Buffer.alloc(0);

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
