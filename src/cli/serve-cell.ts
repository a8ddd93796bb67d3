/** A server that shares an etcd with others, with its log. Loaded only with --etcd. */
import { CellServer, type CellServerOptions } from '../cell-server.ts';
import type { EtcdError } from '../store/etcd-error.ts';
import { NotOwnerError } from '../store/etcd-store.ts';
import { readEtcdFiles } from './etcd-files.ts';
import type { Log } from './log.ts';
import { rateLimit } from './rate-limit.ts';
import type { EtcdSettings } from './settings.ts';
import { recoveredLine } from './texts.ts';

export interface CellHost {
  readonly serverOptions: CellServerOptions['serverOptions'];
  /** The server can't go on. */
  failed(error: Error): void;
}

/** Returns a sentence, without its full stop, if a file can't be used. */
export function cellServer(etcd: EtcdSettings, log: Log, host: CellHost): CellServer | string {
  const files = readEtcdFiles(etcd);
  if (typeof files === 'string') return files;
  const { prefix, leaseTtlS, advertise } = etcd;
  return new CellServer({
    ...{ etcd: files, prefix, leaseTtlS, advertise: advertise === '' ? undefined : advertise },
    serverOptions: host.serverOptions,
    observer: {
      waiting: (owner, isOwnAddress) => {
        log.add('owner_waiting', waitingLine(owner, isOwnAddress), { owner });
      },
      serving: (recovered) => {
        const line = `this server serves now: ${recoveredLine(`etcd (${prefix})`, recovered)}`;
        log.add('owner_serving', line, recovered);
      },
      silenced: () => log.add('owner_silenced', SILENCED_LINE),
      lost: ({ message }) => log.add('owner_lost', `${message}${LOST_REMARK}`),
      trouble: rateLimit((suppressed, error) => {
        const { failure } = error;
        log.add('etcd_failed', troubleLine(error, suppressed), { failure, suppressed });
      }),
      failed: host.failed,
    },
  });
}

/** Whether the server can't go on because another one serves: it can be started anew. */
export function isReplaced(error: Error): boolean {
  return error instanceof NotOwnerError;
}

const LOST_REMARK = '. All connections are cut; every lock confirmed to a client is kept';

function waitingLine(owner: string, isOwnAddress: boolean): string {
  if (isOwnAddress) {
    return `a server with the address of this one, ${owner}, owns the locks; this one waits for its turn: until the lease runs out, if that server was this one before a restart. No two servers may have the same --advertise`;
  }
  return `the server at ${owner} serves; this one waits for its turn`;
}

const SILENCED_LINE =
  'etcd has not confirmed for most of the lease time that this server is the owner; all connections are cut until it does';

function troubleLine({ failure, message }: EtcdError, suppressed: number): string {
  const more = suppressed === 0 ? '' : ` (and ${suppressed} more since the last such line)`;
  if (failure !== 'full') return `${message}; trying again${more}`;
  return `etcd is over its quota (${message}): nothing can be stored, and every client waits. Compact and defragment it, then disarm the alarm (etcdctl alarm disarm)${more}`;
}
