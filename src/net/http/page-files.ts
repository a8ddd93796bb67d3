/**
 * The files of the browser page: its document, its style, and the modules that it consists of, as
 * tsc has compiled them. They come from a fixed list; URLs mirror the folders of the sources, so
 * that the modules' relative imports work. None holds data, so none needs a token.
 *
 * Nothing is read before it is asked for, and each file once.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { type Page, sentence } from './pages.ts';

/** The modules that the page loads, by folder. A test compares them with its imports. */
export const PAGE_MODULES: Readonly<Record<string, string>> = {
  client: `backoff browser calls client connect-failure connector environment errors events exchange handshake
    heartbeat held-lock hold inspect link lock-entry lock-fields locks options outcomes owners public
    replies requests resources session transport-websocket trust url wait watch`,
  operators: 'lock-text path-text printable raw-messages resource-words waiting-chain words',
  page: `administrator charts details dom evict-dialog feed frames live-figures live-view lock-list
    lock-row lock-tree lock-words main model namespace-chooser own-locks playground-card
    playground-view raw-connection scenes series token-form tree-rows typed-resources waits`,
};

const MODULE_PATHS = Object.entries(PAGE_MODULES).flatMap(([folder, names]) =>
  names.split(/\s+/).map((name) => `/${folder}/${name}.js`),
);

const DOCUMENT = '/page/index.html';

/** Where the document lists the modules, so that a browser fetches all of them at once. */
const MODULES_MARK = '<!-- modules -->';
const PRELOADS = MODULE_PATHS.map((path) => `<link rel="modulepreload" href="${path.slice(1)}">`);

/** Content types by path. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['/', 'text/html; charset=utf-8'],
  ['/page/style.css', 'text/css; charset=utf-8'],
  ...MODULE_PATHS.map((path) => [path, 'text/javascript; charset=utf-8'] as const),
]);

/**
 * What the page may do: run and ask this server alone. Text from clients can't become markup even
 * by mistake, where browsers know trusted types.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

/**
 * Where the compiled page may be, relative to this module: beside it, or beside the bundled
 * program, or, if the server runs from its sources, in the folder that `npm run build` makes.
 */
const ROOTS = ['../../', '../src/', '../../../dist/src/'].map(
  (path) => new URL(path, import.meta.url),
);

interface StoredFile {
  readonly body: string;
  readonly tag: string;
}

export class PageFiles {
  readonly #roots: readonly URL[];
  readonly #stored = new Map<string, StoredFile>();

  /** @param roots folders that may contain the compiled page; the first one that does counts */
  constructor(roots: readonly URL[] = ROOTS) {
    this.#roots = roots;
  }

  /** Whether a request for this path, with these headers, asks for a file of the page. */
  has(path: string, { accept }: IncomingHttpHeaders): boolean {
    return path === '/' ? wantsDocument(accept) : TYPES.has(path);
  }

  /** The file, for a path that `has` knows. */
  page(path: string, headers: IncomingHttpHeaders): Page {
    const file = this.#stored.get(path) ?? this.#read(path);
    if (file === undefined) {
      return sentence(
        503,
        'The page is not built: run "npm run build" in the folder of the server. Without ' +
          '"Accept: text/html", as from curl, this address answers in plain text.',
      );
    }
    const common = {
      'Cache-Control': 'no-cache',
      ETag: file.tag,
      'Referrer-Policy': 'no-referrer',
      ...(path === '/' ? { 'Content-Security-Policy': POLICY, Vary: 'Accept' } : {}),
    };
    if (isListed(headers['if-none-match'], file.tag)) {
      return { status: 304, body: '', headers: common };
    }
    const contentType = TYPES.get(path) ?? '';
    return { status: 200, contentType, body: file.body, headers: common };
  }

  #read(path: string): StoredFile | undefined {
    const name = path === '/' ? DOCUMENT : path;
    for (const root of this.#roots) {
      const text = textOf(new URL(`.${name}`, root));
      // Uncompiled sources have a document, but no modules.
      if (text === undefined || textOf(new URL('page/main.js', root)) === undefined) continue;
      const body = path === '/' ? text.replace(MODULES_MARK, PRELOADS.join('\n')) : text;
      const digest = createHash('sha256').update(body).digest('base64url');
      const file = { body, tag: `"${digest.slice(0, 22)}"` };
      this.#stored.set(path, file);
      return file;
    }
    return undefined;
  }
}

/** Undefined if there is no such file. */
function textOf(url: URL): string | undefined {
  try {
    return readFileSync(url, 'utf8');
  } catch {
    return undefined;
  }
}

/** Browsers name HTML; programs ask for anything. */
function wantsDocument(accept = ''): boolean {
  return accept.split(',').some((range) => /^\s*text\/html\s*(;|$)/i.test(range));
}

function isListed(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((listed) => listed.trim().replace(/^W\//, '') === tag);
}
