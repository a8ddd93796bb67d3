/** HTTP or lines: what the first bytes of a connection tell, wherever they are cut. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { METHODS } from 'node:http';
import { test } from 'node:test';
import { firstBytes, withoutBlanks } from '../../../src/net/listen/acceptor.ts';
import { RequestError } from '../../../src/protocol/errors.ts';

function of(text: string): string {
  const found = firstBytes(withoutBlanks(Buffer.from(text, 'latin1')));
  return found instanceof RequestError ? found.code : found;
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

test('an opening brace is the line protocol, behind any blanks', () => {
  for (const blanks of ['', ' ', '\t', '\n', '\r\n', ' \r\n\t \n']) {
    assert.equal(of(blanks), 'undecided');
    for (const text of ['{', '{"action":"help"}\n', '{\0'])
      assert.equal(of(blanks + text), 'lines');
    assert.equal(of(`${blanks}GET /`), 'http');
  }
});

test('all else is refused, from the first byte that fits neither', () => {
  const others = [
    '\0\x01',
    '\x01',
    '\x80',
    '\xff\xff',
    '\v',
    '\f',
    '\xa0',
    '[',
    '"',
    '1',
    '-',
    'true',
    'z',
  ];
  others.push(
    'Get',
    'GET/',
    'GET\t/',
    'GET\r\n',
    'GETT',
    'HELP\n',
    'X',
    'POST{',
    'PRI{',
    'quit',
    'hello?',
  );
  for (const text of others) assert.equal(of(text), 'bad_json', JSON.stringify(text));
});

test('a method that begins another is told from it', () => {
  assert.equal(of('PUT'), 'undecided');
  assert.equal(of('PU'), 'undecided');
  assert.equal(of('PURGE'), 'undecided');
  assert.equal(of('PURG '), 'bad_json');
  assert.equal(of('LOCK'), 'undecided', 'a method of WebDAV');
  assert.equal(of('LOCK a'), 'http');
});

test('no more is looked at than a method is long', () => {
  assert.equal(of(`GET /${'x'.repeat(1_000_000)}`), 'http');
  assert.equal(of('x'.repeat(1_000_000)), 'bad_json');
});
