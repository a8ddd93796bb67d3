/** A planted bug, imported before the server: transactions are guarded by the owner key alone. */
import { EtcdGateway } from '../../../src/store/etcd-gateway.ts';

const { call } = EtcdGateway.prototype;

EtcdGateway.prototype.call = function plantedCall(path, body, tryMs) {
  if (!('compare' in body) || !Array.isArray(body.compare))
    return call.call(this, path, body, tryMs);
  return call.call(this, path, { ...body, compare: body.compare.slice(0, 1) }, tryMs);
};
