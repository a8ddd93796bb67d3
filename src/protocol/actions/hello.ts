/** `hello`: begins a session or resumes one. Authentication precedes it, in admission.ts. */
import { helloLimits, type Limits } from '../../runtime/limits.ts';
import type { JsonObject } from '../../runtime/unknown.ts';
import type { Ref } from '../../session/lock-record.ts';
import type { Session } from '../../session/session.ts';
import { keyOfName } from '../../session/session-key.ts';
import { VERSION } from '../../version.ts';
import type { ProtocolHost } from '../channel.ts';
import { DRAINING, helloNotFirst, NO_SUCH_SESSION, RequestError } from '../errors.ts';
import { abandonTooLong, decodeMs, decodeName, decodeNamespace } from '../fields.ts';
import type { ActionDefinition, RequestContext } from '../requests.ts';

export interface HelloRequest {
  readonly action: 'hello';
  readonly ref: Ref | undefined;
  /** The secret name of a session to resume: then only `heartbeatMs` may be chosen. */
  readonly session: string | undefined;
  readonly token: string | undefined;
  readonly namespace: string | undefined;
  readonly abandonTimeoutMs: number | undefined;
  readonly heartbeatMs: number | undefined;
  readonly label: string | undefined;
}

export const hello: ActionDefinition<HelloRequest> = {
  fields: ['token', 'session', 'namespace', 'abandonTimeoutMs', 'heartbeatMs', 'label'],
  decode: decodeHello,
  answer(context, request) {
    const { host, channel, replies } = context;
    if (context.begun !== undefined) {
      replies.error(request, helloNotFirst(context.begun.namespace.name));
      return;
    }
    const begun = begin(context, request);
    if (begun === undefined) {
      context.helloRefused();
      replies.error(request, NO_SUCH_SESSION);
      return;
    }
    if (request.heartbeatMs !== undefined) context.expectHeartbeat(request.heartbeatMs);
    const { name, session } = begun;
    replies.fields(request, helloFields(name, session, request, host));
    if (request.session !== undefined) {
      // The session may have `maxLocksPerSession` locks.
      channel.yieldTurn();
      for (const lock of session.locks) replies.lock(lock);
    }
    // The client was not here when the drain was announced.
    if (host.registry.isDraining) replies.notifyError(DRAINING);
  },
  help: [
    {
      example: { action: 'hello', namespace: 'shop', abandonTimeoutMs: 5000 },
      does: 'optional; must come first',
    },
  ],
};

/** The session's secret name, and the session; undefined if there is none to resume. */
function begin(
  context: RequestContext,
  request: HelloRequest,
): { readonly name: string; readonly session: Session } | undefined {
  const { namespace, abandonTimeoutMs, label } = request;
  if (request.session !== undefined) {
    const session = context.resume(request.session);
    return session && { name: request.session, session };
  }
  const name = context.host.newName();
  return {
    name,
    session: context.begin({ namespace, abandonTimeoutMs, label, key: keyOfName(name) }),
  };
}

function decodeHello(
  message: JsonObject,
  ref: Ref | undefined,
  limits: Limits,
): HelloRequest | RequestError {
  const token = decodeName(message.token, 'token');
  if (token instanceof RequestError) return token;
  const session = decodeName(message.session, 'session');
  if (session instanceof RequestError) return session;
  const namespace = decodeNamespace(message.namespace, limits);
  if (namespace instanceof RequestError) return namespace;
  const abandonTimeoutMs = decodeMs(message.abandonTimeoutMs, 'abandonTimeoutMs', 0);
  if (abandonTimeoutMs instanceof RequestError) return abandonTimeoutMs;
  const tooLong = abandonTooLong(abandonTimeoutMs ?? 0, 'abandonTimeoutMs', limits);
  if (tooLong !== undefined) return tooLong;
  const heartbeatMs = decodeMs(message.heartbeatMs, 'heartbeatMs', 1);
  if (heartbeatMs instanceof RequestError) return heartbeatMs;
  const label = decodeName(message.label, 'label');
  if (label instanceof RequestError) return label;
  if (session !== undefined && (namespace ?? abandonTimeoutMs ?? label) !== undefined) {
    return new RequestError(
      'bad_request',
      'a resumed session keeps its settings: leave out namespace, abandonTimeoutMs and label',
    );
  }
  return { action: 'hello', ref, token, session, namespace, abandonTimeoutMs, heartbeatMs, label };
}

/** The version of the session protocol; version 1 is the Go server's protocol. */
const PROTOCOL_VERSION = 2;

/** The fields of the answer: the session's settings, the server and its limits. */
function helloFields(
  name: string,
  session: Session,
  request: HelloRequest,
  { limits, serverAddress }: ProtocolHost,
): object {
  const isResumed = request.session !== undefined;
  return {
    session: name,
    sessionId: String(session.id),
    namespace: session.namespace.name,
    ...(isResumed ? { resumed: true, locks: session.locks.size } : {}),
    protocol: PROTOCOL_VERSION,
    version: VERSION,
    server: serverAddress?.(),
    abandonTimeoutMs: session.abandonTimeoutMs,
    heartbeatMs: request.heartbeatMs,
    limits: helloLimits(limits),
  };
}
