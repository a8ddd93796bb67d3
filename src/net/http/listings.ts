/**
 * The pages `/locks` and `/namespaces`: what `inspect` and `namespaces` of the session protocol
 * answer, as one JSON document. The parameters of the query are the fields of the request, and are
 * decoded as such.
 */
import { inspectLines } from '../../protocol/actions/inspect.ts';
import { namespaceLines } from '../../protocol/actions/namespaces.ts';
import { ACTIONS, decodeAs } from '../../protocol/actions/table.ts';
import type { ProtocolHost } from '../../protocol/channel.ts';
import { RequestError } from '../../protocol/errors.ts';
import { unknownField } from '../../protocol/fields.ts';
import { fromByteString } from '../../runtime/byte-string.ts';

/** What the listings read. */
export type ListingHost = Pick<ProtocolHost, 'registry' | 'limits' | 'clock'>;

/** A listing, as JSON text, or an error with its HTTP status. */
export type Listing =
  | { readonly status: 200; readonly body: string }
  | { readonly status: 400 | 404; readonly error: string };

/** The parameters beside the token. */
const PARAMETERS = {
  inspect: new Set(['namespace', ...ACTIONS.inspect.fields]),
  namespaces: new Set<string>(ACTIONS.namespaces.fields),
};

/** Those of all listings; each may be there once. */
export const LISTING_PARAMETERS: ReadonlySet<string> = new Set([
  ...PARAMETERS.inspect,
  ...PARAMETERS.namespaces,
]);

/** Parameters that are JSON as in a message: ["orders","17"] can name any segment. */
const JSON_PARAMETERS: ReadonlySet<string> = new Set(['path', 'max']);

/** The locks of a namespace. */
export function locksListing({ searchParams }: URL, host: ListingHost): Listing {
  const { namespace: name, ...fields } = fieldsOf(searchParams);
  if (typeof name !== 'string' || name === '') {
    return { status: 400, error: 'Add the parameter namespace: /locks?namespace=NAME.' };
  }
  const request = decodeQuery('inspect', fields, host);
  if (request instanceof RequestError) return mistake(request);
  if (request.action !== 'inspect') throw new Error('decoded as another action');
  const namespace = host.registry.get(name);
  if (namespace === undefined) {
    return { status: 404, error: `The namespace ${JSON.stringify(name)} is not in use.` };
  }
  const lines = inspectLines(request, namespace, host.clock.now());
  if (lines instanceof RequestError) {
    return { status: 404, error: `The namespace ${JSON.stringify(name)} has no such lock.` };
  }
  return { status: 200, body: fromByteString(asDocument('locks', lines)) };
}

/** The namespaces in use. */
export function namespacesListing({ searchParams }: URL, host: ListingHost): Listing {
  const request = decodeQuery('namespaces', fieldsOf(searchParams), host);
  if (request instanceof RequestError) return mistake(request);
  if (request.action !== 'namespaces') throw new Error('decoded as another action');
  const lines = namespaceLines(request, host.registry).map((line) =>
    JSON.stringify(line).slice(1, -1),
  );
  return { status: 200, body: asDocument('namespaces', lines) };
}

/** The request of that action; the `action` and `ref` of a message are no parameters. */
function decodeQuery(
  action: 'inspect' | 'namespaces',
  fields: Record<string, unknown>,
  { limits }: ListingHost,
) {
  const unknown = unknownField(fields, PARAMETERS[action], '');
  return unknown ?? decodeAs(action, fields, undefined, limits);
}

/** The parameters as fields, without the token; those of a listing are not repeated. */
function fieldsOf(parameters: URLSearchParams): Record<string, unknown> {
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, text] of parameters) {
    fields[name] = JSON_PARAMETERS.has(name) ? fromJson(text) : text;
  }
  delete fields.token;
  return fields;
}

/** What is no JSON stays text, which is an error of the field. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function mistake({ message }: RequestError): Listing {
  return { status: 400, error: `Invalid query: ${message}.` };
}

/**
 * The fields of the summary, which is the last line, and the other lines as a list before them.
 *
 * @param lines of each the text of its fields
 */
function asDocument(name: string, lines: readonly string[]): string {
  const listed = lines.slice(0, -1).map((line) => `{${line}}`);
  const summary = lines.at(-1)?.replace(/^"end":true/, '') ?? '';
  return `{"${name}":[${listed.join()}]${summary}}`;
}
