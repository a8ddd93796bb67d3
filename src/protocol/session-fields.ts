/** The longer answers of the session protocol, as fields to be put after their action and ref. */
import type { Limits } from '../runtime/limits.ts';
import type { Namespace } from '../session/namespace.ts';
import type { Session } from '../session/session.ts';
import { VERSION } from '../version.ts';
import type { HelloRequest } from './requests.ts';

/** The version of the session protocol; v1 is the Go server's. */
const PROTOCOL_VERSION = 2;

/** What a client must know of its session and of the server. */
export function helloFields(session: Session, request: HelloRequest, limits: Limits): object {
  const isResumed = request.session !== undefined;
  return {
    session: session.name,
    sessionId: String(session.id),
    namespace: session.namespace.name,
    ...(isResumed ? { resumed: true, locks: session.locks.size } : {}),
    protocol: PROTOCOL_VERSION,
    version: VERSION,
    abandonTimeoutMs: session.abandonTimeoutMs,
    heartbeatMs: request.heartbeatMs,
    limits: {
      maxMessageBytes: limits.maxMessageBytes,
      maxResourcesPerLock: limits.maxResourcesPerLock,
      maxSegmentsPerPath: limits.maxSegmentsPerPath,
      maxSegmentBytes: limits.maxSegmentBytes,
      maxLocksPerSession: limits.maxLocksPerSession,
      maxWatches: limits.maxWatches,
    },
  };
}

export function statsFields({ name, sessions, table: { size } }: Namespace): object {
  return {
    namespace: name,
    sessions: sessions.size,
    locks: { acquired: size.acquired, enqueued: size.enqueued },
    resources: { acquired: size.resourcesAcquired, enqueued: size.resourcesEnqueued },
    paths: size.paths,
  };
}
