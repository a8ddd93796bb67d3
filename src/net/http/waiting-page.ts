/**
 * What a browser gets that opens the page of a server which can't serve it now, above all one of
 * several of which another one serves: the sentence that programs get, the way there, and the page
 * itself as soon as this server has it.
 */
import { createHash } from 'node:crypto';
import type { Page } from './pages.ts';

const AGAIN_S = 5;
/** The header Refresh would not load an address anew that has a fragment. */
const SCRIPT = `setTimeout(() => location.reload(), ${AGAIN_S * 1000})`;
const POLICY = [
  "default-src 'none'",
  `script-src 'sha256-${createHash('sha256').update(SCRIPT).digest('base64')}'`,
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** HOST:PORT and the like. Anything else is not made a link. */
const PLACE = /^[\w.[\]:-]+$/;

/**
 * @param why the sentence
 * @param owner where another server serves, as the sentence has it, if that is known
 */
export function waitingPage(why: string, owner: unknown): Page {
  const isPlace = typeof owner === 'string' && PLACE.test(owner);
  const said = escaped(why);
  const linked = isPlace ? said.replace(owner, `<a href="//${owner}/">${owner}</a>`) : said;
  const body = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Locktopus</title>
<script>${SCRIPT}</script>
</head>
<body>
<p>${linked}</p>
<p>This page tries again every ${AGAIN_S} seconds.</p>
</body>
</html>
`;
  const headers = {
    'Content-Security-Policy': POLICY,
    'Referrer-Policy': 'no-referrer',
    'Retry-After': '1',
    Vary: 'Accept',
  };
  return { status: 503, contentType: 'text/html; charset=utf-8', body, headers };
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
