/** Why a server with a store does not serve its clients now. */
import type { Ownership } from './cluster/ownership.ts';
import { errorSentence } from './net/http/router.ts';
import { NOT_PROVEN, notOwner, RECOVERING, type RequestError } from './protocol/errors.ts';
import type { Persistence } from './store/persistence.ts';

export interface Readiness {
  /** The error that answers new connections; undefined if they are served. */
  error(): RequestError | undefined;
  /** The same for probes, as a sentence; they also hear that the store is slow. */
  sentence(): string | undefined;
}

/** @param persistence undefined without a store: such a server is always ready */
export function readinessOf(
  persistence: Persistence | undefined,
  ownership: Ownership | undefined,
): Readiness {
  const error = (): RequestError | undefined => {
    if (persistence === undefined) return undefined;
    if (ownership?.state === 'waiting') {
      const { ownerAddress, address } = ownership;
      // Before a restart this server was the owner, and its lease has not run out.
      return notOwner(ownerAddress === address ? undefined : ownerAddress);
    }
    if (persistence.recovered === undefined) return RECOVERING;
    return ownership === undefined || ownership.maySpeak() ? undefined : NOT_PROVEN;
  };
  const sentence = (): string | undefined => {
    const why = error();
    if (why === RECOVERING) return 'The server is starting: it restores its locks.';
    if (why !== undefined) return errorSentence(why);
    if (persistence?.ledger.isBehind) {
      return 'The store is slow: answers wait until their locks are stored.';
    }
    return undefined;
  };
  return { error, sentence };
}
