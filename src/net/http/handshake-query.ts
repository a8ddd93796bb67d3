/** Parses and checks the session parameters in the query of a WebSocket handshake. */
import type { ProtocolHost } from '../../protocol/channel.ts';
import { abandonTooLong, namespaceTooLong } from '../../protocol/fields.ts';
import {
  namespaceMissing,
  type Page,
  parameterRepeated,
  queryUnreadable,
  sentence,
  V1_PATH,
} from './pages.ts';

const TIMEOUT = 'abandon-timeout-ms';

export interface HandshakeQuery {
  /** Always defined on the v1 path. */
  readonly namespace: string | undefined;
  readonly abandonTimeoutMs: number;
}

/** @returns the parameters, or the error page if one of them is missing or invalid */
export function handshakeQuery(url: URL, host: ProtocolHost): HandshakeQuery | Page {
  const { limits, defaultAbandonTimeoutMs } = host;
  const namespace = url.searchParams.get('namespace') || undefined;
  // Of a parameter that is repeated, the first counts in v1, as in the Go server.
  const mistake =
    url.pathname === V1_PATH
      ? namespaceMissing(url)
      : parameterRepeated(url, ['namespace', TIMEOUT]);
  const wrong = queryUnreadable(url) ?? mistake;
  if (wrong !== undefined) return wrong;
  const tooLong = namespace === undefined ? undefined : namespaceTooLong(namespace, limits);
  if (tooLong !== undefined) return sentence(400, `The ${tooLong.message}.`);
  const timeout = url.searchParams.get(TIMEOUT);
  const abandonTimeoutMs = timeout === null ? defaultAbandonTimeoutMs : wholeNumber(timeout);
  if (abandonTimeoutMs === undefined) {
    return sentence(400, `${TIMEOUT} must be a whole number of milliseconds, 0 or more.`);
  }
  const error = abandonTooLong(abandonTimeoutMs, TIMEOUT, limits);
  return error === undefined ? { namespace, abandonTimeoutMs } : sentence(400, `${error.message}.`);
}

function wholeNumber(text: string): number | undefined {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return undefined;
  }
  const value = text === '' ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
