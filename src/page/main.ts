/** The page that the server shows to browsers: the live view and the playground. */

import { printable } from '../operators/printable.ts';
import type { Tokens } from './administrator.ts';
import { announce, byId, setAttribute, setText } from './dom.ts';
import type { FeedStatus, ServerAddress } from './feed.ts';
import { LiveView } from './live-view.ts';
import { PlaygroundView } from './playground-view.ts';
import { TokenForm } from './token-form.ts';

type View = 'live' | 'playground';

const NAMESPACE_MARK = 'live/';
const statuses: Record<View, FeedStatus> = {
  live: { kind: 'connecting' },
  playground: { kind: 'connecting' },
};

const server = addressOf(document.baseURI);
const tokens: Tokens = { client: undefined, admin: undefined };
const live = new LiveView(server, tokens, {
  status: (status) => setStatus('live', status),
  chosen: (namespace) => location.replace(`#${NAMESPACE_MARK}${encodeURIComponent(namespace)}`),
});

const playground = new PlaygroundView(server, tokens, (status) => setStatus('playground', status));
const tokenForm = new TokenForm('Token', 'Connect', (token) => {
  tokens.client = token;
  if (byId('live').hidden) playground.restart();
  else live.restart();
});

byId('token').append(tokenForm.element);
byId('live').append(live.element);
byId('playground').append(playground.element);
window.addEventListener('hashchange', route);
window.addEventListener('pagehide', () => {
  live.stop();
  playground.stop();
});
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
  showStatus(statuses[isPlayground ? 'playground' : 'live']);
  if (isPlayground) {
    document.title = 'Playground, Locktopus';
    playground.show();
    return;
  }
  if (name.startsWith(NAMESPACE_MARK)) setAttribute(byId('tab-live'), 'href', location.hash);
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

function setStatus(view: View, status: FeedStatus): void {
  statuses[view] = status;
  if (!byId(view).hidden) showStatus(status);
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
      return `Connected to ${location.host}${servedBy(status.server)}`;
    case 'disconnected':
      return `Disconnected, trying again: ${status.reason}`;
    case 'unauthorized':
      return 'This server requires a token';
  }
}

/** Behind a proxy it matters which of several servers serves. */
function servedBy(server: string | undefined): string {
  const isObvious = server === undefined || server === location.host;
  return isObvious ? '' : `, served by ${printable(server)}`;
}

function addressOf(base: string): ServerAddress {
  const webSocket = new URL('v2', base);
  webSocket.protocol = webSocket.protocol === 'https:' ? 'wss:' : 'ws:';
  const at = (path: string): string => new URL(path, base).href;
  return { webSocket: webSocket.href, readiness: at('readyz') };
}
