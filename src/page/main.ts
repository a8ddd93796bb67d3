/** The page that the server shows to browsers: the live view and the playground. */

import type { Tokens } from './administrator.ts';
import { announce, byId, setAttribute, setText } from './dom.ts';
import type { FeedStatus, ServerAddress } from './feed.ts';
import { LiveView } from './live-view.ts';
import { TokenForm } from './token-form.ts';

const NAMESPACE_MARK = 'live/';

const server = addressOf(document.baseURI);
const tokens: Tokens = { client: undefined, admin: undefined };
const live = new LiveView(server, tokens, {
  status: showStatus,
  chosen: (namespace) => location.replace(`#${NAMESPACE_MARK}${encodeURIComponent(namespace)}`),
});

const tokenForm = new TokenForm('Token', 'Connect', (token) => {
  tokens.client = token;
  live.restart();
});

byId('token').append(tokenForm.element);
byId('live').append(live.element);
window.addEventListener('hashchange', route);
window.addEventListener('pagehide', () => live.stop());
// The browser may show the page again as it was.
window.addEventListener('pageshow', (event) => event.persisted && location.reload());
route();

/** Shows what the address asks for: `#live`, `#live/NAMESPACE`, `#playground`. */
function route(): void {
  const name = location.hash.slice(1);
  const isPlayground = name === 'playground';
  byId('live').hidden = isPlayground;
  byId('playground').hidden = !isPlayground;
  setAttribute(byId('tab-live'), 'aria-current', isPlayground ? undefined : 'page');
  setAttribute(byId('tab-playground'), 'aria-current', isPlayground ? 'page' : undefined);
  if (isPlayground) return;
  live.show(
    name.startsWith(NAMESPACE_MARK) ? decoded(name.slice(NAMESPACE_MARK.length)) : undefined,
  );
  live.refresh();
}

/** Undefined if it is not percent-encoded UTF-8, or empty. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text) || undefined;
  } catch {
    return undefined;
  }
}

function showStatus(status: FeedStatus): void {
  if (status.kind === 'unauthorized') {
    const isWrong = status.wasSent ? 'This token is not valid. ' : '';
    tokenForm.ask(`${isWrong}This server requires a token. It is kept until the page is closed.`);
  } else if (status.kind === 'connected') {
    tokenForm.hide();
  }
  const text = statusText(status);
  const element = byId('connection');
  if (element.textContent === text) return;
  setAttribute(element, 'class', `connection ${status.kind}`);
  setText(element, text);
  announce(text);
}

function statusText(status: FeedStatus): string {
  switch (status.kind) {
    case 'connecting':
      return `Connecting to ${location.host}`;
    case 'connected':
      return `Connected to ${location.host}`;
    case 'disconnected':
      return `Disconnected, trying again: ${status.reason}`;
    case 'unauthorized':
      return 'This server requires a token';
  }
}

function addressOf(base: string): ServerAddress {
  const webSocket = new URL('v2', base);
  webSocket.protocol = webSocket.protocol === 'https:' ? 'wss:' : 'ws:';
  return { webSocket: webSocket.href, probe: new URL('metrics', base).href };
}
