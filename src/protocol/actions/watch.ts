/** `watch` and `unwatch`: what happens to locks at and below a path. */
import type { Ref } from '../../session/lock-record.ts';
import type { Path } from '../../table/resource.ts';
import { RequestError, serverFull } from '../errors.ts';
import type { ActionDefinition } from '../requests.ts';
import { decodePathOrRoot } from '../resources.ts';

export interface WatchRequest {
  readonly action: 'watch';
  readonly ref: Ref | undefined;
  readonly path: Path;
}

export interface UnwatchRequest {
  readonly action: 'unwatch';
  readonly ref: Ref | undefined;
  readonly path: Path;
}

export const watch: ActionDefinition<WatchRequest> = {
  fields: ['path'],
  decode(message, ref, limits) {
    const path = decodePathOrRoot(message.path, limits);
    return path instanceof RequestError ? path : { action: 'watch', ref, path };
  },
  answer(context, request) {
    const { host, replies, watching } = context;
    const { path } = request;
    const { maxWatches } = host.limits;
    if (watching.count >= maxWatches && !watching.has(path)) {
      const message = `watch limit of this connection reached (${maxWatches}); unwatch a path first`;
      replies.error(request, new RequestError('too_many_watches', message));
      return;
    }
    if (watching.add(path)) replies.fields(request, { path });
    else replies.error(request, serverFull(host.limits));
  },
  help: [
    {
      example: { action: 'watch', path: ['orders'] },
      does: 'reports what happens to locks there; "unwatch" stops it',
    },
  ],
};

export const unwatch: ActionDefinition<UnwatchRequest> = {
  fields: ['path'],
  decode(message, ref, limits) {
    const path = decodePathOrRoot(message.path, limits);
    return path instanceof RequestError ? path : { action: 'unwatch', ref, path };
  },
  answer({ replies, watching }, request) {
    const { path } = request;
    watching.remove(path);
    replies.fields(request, { path });
  },
  help: [],
};
