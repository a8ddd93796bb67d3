/** The files of the browser page, as the server finds and serves them. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { PageFiles } from '../../../src/net/http/page-files.ts';
import { temporaryFolder } from '../../support/certificates.ts';
import { ask } from '../../support/http-client.ts';
import { startServer } from '../../support/running-server.ts';

const TOKEN = 'a-token-of-enough-characters';
const HTML = { accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' };

test('the page is read when it is asked for, once, from the first folder that has it', (t) => {
  const folder = temporaryFolder(t);
  const [sources, compiled] = ['sources', 'compiled'].map((name) => join(folder, name));
  for (const root of [sources, compiled]) {
    mkdirSync(join(root ?? '', 'page'), { recursive: true });
    writeFileSync(join(root ?? '', 'page/index.html'), `${root}: <!-- modules -->`);
  }
  const files = new PageFiles([sources, compiled].map((root) => pathToFileURL(`${root}/`)));
  const missing = files.page('/', {});
  assert.equal(missing.status, 503);
  assert.match(missing.body, /npm run build/);
  writeFileSync(join(compiled ?? '', 'page/main.js'), 'main');
  const { status, body, headers = {} } = files.page('/', {});
  assert.equal(status, 200);
  assert.match(body, /^.*compiled: <link rel="modulepreload" href="client\/\w+\.js">\n/);
  assert.match(body, /<link rel="modulepreload" href="page\/main\.js">/);
  rmSync(join(compiled ?? '', 'page'), { recursive: true });
  assert.equal(files.page('/', {}).body, body);
  for (const tags of [headers.ETag, `"x", W/${headers.ETag}`]) {
    const same = files.page('/', { 'if-none-match': tags });
    assert.deepEqual([same.status, same.body, same.headers?.ETag], [304, '', headers.ETag]);
  }
  assert.equal(files.page('/', { 'if-none-match': '"x"' }).status, 200);
});

test('browsers get the page without a token; programs get text, with one', async (t) => {
  const { port } = (await startServer(t, { tokens: [TOKEN], allowedOrigins: ['*'] })).address;
  const page = await ask(port, '/', { headers: HTML });
  // 503 where the page is not built: it is the same for all that the server decides.
  assert.ok(page.status === 200 || page.status === 503, `${page.status}`);
  if (page.status === 200) {
    assert.match(page.body, /^<!doctype html>/);
    assert.match(String(page.headers['content-security-policy']), /default-src 'none'; script-src/);
    assert.equal(page.headers['cache-control'], 'no-cache');
    assert.equal(page.headers['referrer-policy'], 'no-referrer');
    assert.equal(page.headers.vary, 'Accept, Origin');
    const headers = { ...HTML, 'If-None-Match': String(page.headers.etag) };
    const same = await ask(port, '/', { headers });
    assert.deepEqual([same.status, same.body], [304, '']);
    const script = await ask(port, '/client/browser.js');
    assert.equal(script.headers['content-type'], 'text/javascript; charset=utf-8');
    assert.match(script.body, /export async function connect/);
    assert.match(
      String((await ask(port, '/page/style.css')).headers['content-type']),
      /^text\/css/,
    );
  }
  for (const accept of ['*/*', 'text/plain', 'text/htmlx', 'application/json']) {
    assert.equal((await ask(port, '/', { headers: { accept } })).status, 401, accept);
  }
  for (const path of ['/page/', '/page/index.html', '/page/main.ts', '/client/index.js']) {
    assert.equal((await ask(port, path)).status, 401, path);
  }
  assert.equal((await ask(port, '/page/main.js', { method: 'POST' })).status, 405);
  assert.equal(
    (await ask(port, '/page/main.js', { headers: { host: 'evil.example' } })).status,
    403,
  );
});
