/** Who may enter and who is an administrator: the whole table, and what a token must be like. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Auth,
  type AuthFailure,
  type Locality,
  type Role,
  tokenFault,
} from '../../src/protocol/auth.ts';

const CLIENT = 'client-token-0001';
const OLD_CLIENT = 'client-token-0000';
const ADMIN = 'admin-token-00001';
const WRONG = 'wrong-token-00001';

const NONE: string[] = [];
const CLIENTS = [OLD_CLIENT, CLIENT];
const ADMINS = ['admin-token-00000', ADMIN];

/** A role, or why there is none. */
type Outcome = Exclude<Role, 'none'> | AuthFailure;

function outcome(auth: Auth, token: string | undefined, locality: Locality): Outcome {
  const authentication = auth.authenticate(token, locality);
  return authentication.role === 'none' ? authentication.failure : authentication.role;
}

type Row = readonly [
  client: string[],
  admin: string[],
  token: string | undefined,
  local: Outcome,
  remote: Outcome,
];

const TABLE: readonly Row[] = [
  [NONE, NONE, undefined, 'admin', 'client'],
  [NONE, NONE, WRONG, 'admin', 'client'],
  [CLIENTS, NONE, undefined, 'no_token', 'no_token'],
  [CLIENTS, NONE, CLIENT, 'admin', 'client'],
  [CLIENTS, NONE, OLD_CLIENT, 'admin', 'client'],
  [CLIENTS, NONE, WRONG, 'wrong_token', 'wrong_token'],
  [CLIENTS, NONE, '', 'wrong_token', 'wrong_token'],
  [CLIENTS, NONE, `${CLIENT} `, 'wrong_token', 'wrong_token'],
  [CLIENTS, NONE, CLIENT.slice(1), 'wrong_token', 'wrong_token'],
  [CLIENTS, NONE, CLIENTS.join(), 'wrong_token', 'wrong_token'],
  [CLIENTS, ADMINS, undefined, 'no_token', 'no_token'],
  [CLIENTS, ADMINS, CLIENT, 'client', 'client'],
  [CLIENTS, ADMINS, ADMIN, 'admin', 'admin'],
  [CLIENTS, ADMINS, ADMINS[0], 'admin', 'admin'],
  [CLIENTS, ADMINS, WRONG, 'wrong_token', 'wrong_token'],
  [NONE, ADMINS, undefined, 'client', 'client'],
  [NONE, ADMINS, CLIENT, 'wrong_token', 'wrong_token'],
  [NONE, ADMINS, ADMIN, 'admin', 'admin'],
  [[ADMIN], [ADMIN], ADMIN, 'admin', 'admin'],
];

for (const [client, admin, token, local, remote] of TABLE) {
  const given = token === undefined ? 'no token' : JSON.stringify(token);
  test(`${client.length} tokens, ${admin.length} for administrators, ${given}: ${local}, from afar ${remote}`, () => {
    const auth = new Auth({ client, admin });
    assert.equal(outcome(auth, token, 'unix'), local);
    // With client tokens whoever shows one may come from anywhere on this machine: a proxy, say.
    const nearby = client.length === 0 ? local : remote;
    assert.equal(outcome(auth, token, 'loopback'), nearby);
    assert.equal(outcome(auth, token, 'remote'), remote);
  });
}

test('tokens can be replaced; a bad one changes nothing', () => {
  const auth = new Auth({ client: CLIENTS, admin: NONE });
  auth.replace({ client: [WRONG], admin: [ADMIN] });
  assert.equal(outcome(auth, CLIENT, 'loopback'), 'wrong_token');
  assert.equal(outcome(auth, WRONG, 'loopback'), 'client');
  for (const bad of [
    { client: ['short'], admin: NONE },
    { client: CLIENTS, admin: ['short'] },
  ]) {
    assert.throws(() => auth.replace(bad), RangeError);
    assert.equal(outcome(auth, CLIENT, 'loopback'), 'wrong_token');
    assert.equal(outcome(auth, ADMIN, 'loopback'), 'admin');
  }
});

test('a token has 16 to 256 printable ASCII characters without blanks', () => {
  assert.equal(tokenFault('x'.repeat(16)), undefined);
  assert.match(tokenFault(`#${'x'.repeat(16)}`) ?? '', /^must not begin with #/);
  assert.equal(tokenFault('x'.repeat(256)), undefined);
  assert.equal(tokenFault(`!~${'x'.repeat(16)}`), undefined);
  assert.equal(tokenFault('x'.repeat(15)), 'must have 16 to 256 characters, not 15');
  assert.equal(tokenFault('x'.repeat(257)), 'must have 16 to 256 characters, not 257');
  for (const bad of [' ', '\t', '\x7f', 'é', '\0', '\n']) {
    assert.match(tokenFault('x'.repeat(16) + bad) ?? '', /printable ASCII without blanks$/);
  }
});

test('what a client is told that may not do something says who may', () => {
  assert.match(new Auth({ client: NONE, admin: NONE }).forbiddenMessage, /from the machine/);
  assert.match(new Auth({ client: NONE, admin: ADMINS }).forbiddenMessage, /an admin token$/);
});
