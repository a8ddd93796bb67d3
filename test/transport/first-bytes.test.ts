/** HTTP or lines: what the first bytes of a connection tell, wherever they are cut. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { METHODS } from 'node:http';
import { test } from 'node:test';
import { protocolOf } from '../../src/transport/first-bytes.ts';

function of(text: string): string {
  return protocolOf(Buffer.from(text, 'latin1'));
}

test('every method that node:http knows is HTTP from its blank on, undecided before', () => {
  for (const method of METHODS) {
    assert.equal(of(`${method} / HTTP/1.1\r\n`), 'http', method);
    assert.equal(of(`${method} `), 'http', method);
    for (let length = 0; length <= method.length; length++) {
      assert.equal(of(method.slice(0, length)), 'undecided', method.slice(0, length));
    }
  }
});

test('everything else is the line protocol, from the first byte that fits no method', () => {
  const lines = ['{', '{"action":"help"}\n', '\n', '\r\n', ' ', '\t', '\0', '\x16\x03\x01', '\xff'];
  lines.push('get / http/1.1\r\n', 'g', 'Get', 'GET/', 'GET\t/', 'GET\r\n', 'GETT', 'HELP\n', 'X');
  lines.push('PRI * HTTP/2.0\r\n\r\n', 'POST{', 'quit', '[', '"');
  for (const text of lines) assert.equal(of(text), 'lines', JSON.stringify(text));
});

test('a method that begins another is told from it', () => {
  assert.equal(of('PUT'), 'undecided');
  assert.equal(of('PU'), 'undecided');
  assert.equal(of('PURGE'), 'undecided');
  assert.equal(of('PURG '), 'lines');
  assert.equal(of('LOCK'), 'undecided', 'a method of WebDAV');
  assert.equal(of('LOCK a'), 'http');
});

test('no more is looked at than a method is long', () => {
  assert.equal(of(`GET /${'x'.repeat(1_000_000)}`), 'http');
  assert.equal(of('x'.repeat(1_000_000)), 'lines');
});
