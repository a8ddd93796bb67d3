/** What a server reports while it runs, as lines of the log. */
import type { ServerOptions } from '../server-options.ts';
import { adminObserver, clientObservers, lockObserver, logSlowLock } from './lock-log.ts';
import type { Log } from './log.ts';
import { rateLimit } from './rate-limit.ts';
import type { Settings } from './settings.ts';
import {
  fullLine,
  handshakeLine,
  lostPathLine,
  rejectedRequestLine,
  stallLine,
  stuckLine,
  wrongTokenLine,
} from './texts.ts';

/** Slow locks that are named in ten seconds; more are counted. */
const MAX_SLOW_LINES = 20;

type Observers = Pick<ServerOptions, Extract<keyof ServerOptions, `${string}Observer`>>;

/** Lines that clients can cause are limited in number. */
export function observers(log: Log, settings: Settings, maxConnections: number): Observers {
  const { logClients, logLocks } = settings;
  const clients = logClients ? clientObservers(log) : undefined;
  return {
    fullObserver: rateLimit(() =>
      log.add('connection_limit', fullLine(maxConnections), { maxConnections }),
    ),
    stuckObserver: rateLimit((_suppressed, error) => log.add('accept_failed', stuckLine(error))),
    pathObserver: (path, error) =>
      log.add('socket_path_lost', lostPathLine(path, error), { path, error: error?.message }),
    authObserver: {
      wrongToken: rateLimit((suppressed, client) =>
        log.add('invalid_token', wrongTokenLine(client, suppressed), { client, suppressed }),
      ),
      handshakeFailed: rateLimit((suppressed, why, client) => {
        const line = handshakeLine(why, client, suppressed);
        log.add('tls_handshake_failed', line, { client, why, suppressed });
      }),
    },
    headerObserver: rateLimit((suppressed, { header, why }, client) => {
      const line = rejectedRequestLine(why, client, suppressed);
      log.add('rejected_request', line, { client, header, suppressed });
    }),
    adminObserver: adminObserver(log),
    clientObserver: clients?.client,
    sessionObserver: clients?.session,
    lockObserver: logLocks ? lockObserver(log) : undefined,
    slowLockObserver: rateLimit(
      (suppressed, slow) => logSlowLock(log, slow, suppressed),
      undefined,
      MAX_SLOW_LINES,
    ),
    stallObserver: (report) => log.add('stall', stallLine(report), report),
  };
}
