/** What etcd is spoken to with: certificates, and a user with a password. */
import { createSecureContext } from 'node:tls';
import type { EtcdOptions } from '../store/etcd-gateway.ts';
import { readRegularFile } from './regular-file.ts';
import type { EtcdSettings } from './settings.ts';
import { missingPem } from './tls-files.ts';

/** The options of the gateway; or a sentence, without its full stop, if a file can't be used. */
export function readEtcdFiles({ members, tls, userFile }: EtcdSettings): EtcdOptions | string {
  if ((tls.cert === '') !== (tls.key === '')) {
    return 'etcd needs both a certificate and its key: set --etcd-cert and --etcd-key';
  }
  const pem: { ca?: string; cert?: string; key?: string } = {};
  try {
    for (const name of ['ca', 'cert', 'key'] as const) {
      const path = tls[name];
      if (path === '') continue;
      const text = readRegularFile(path).toString();
      // Node takes a file without one for no CA at all.
      const missing = missingPem(name, text);
      if (missing !== undefined) return `--etcd-${name}: ${path} ${missing}`;
      pem[name] = text;
    }
    createSecureContext(pem);
  } catch (error) {
    return `cannot use the files of --etcd-ca, --etcd-cert and --etcd-key: ${reasonOf(error)}`;
  }
  if (userFile === '') return { members, ...pem };
  let text: string;
  try {
    text = readRegularFile(userFile).toString();
  } catch (error) {
    return `--etcd-user-file: cannot read ${userFile}: ${reasonOf(error)}`;
  }
  const [, name, password] = /^([^:\n]+):([^\n]+)\n?$/.exec(text) ?? [];
  if (name === undefined || password === undefined) {
    return `--etcd-user-file: ${userFile} must have one line, NAME:PASSWORD`;
  }
  return { members, ...pem, user: { name, password } };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
