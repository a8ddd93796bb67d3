/** The live view: the lock tree of a namespace as it is now. */
import { printable } from '../operators/printable.ts';
import { evict, type Tokens } from './administrator.ts';
import { Details } from './details.ts';
import { announce, h, setText } from './dom.ts';
import { EvictDialog } from './evict-dialog.ts';
import { Feed, type FeedStatus, type ServerAddress } from './feed.ts';
import { Frames } from './frames.ts';
import { LiveFigures } from './live-figures.ts';
import { LockTree } from './lock-tree.ts';
import { heatOf, lockText, whoText } from './lock-words.ts';
import { LockModel, type PageLock } from './model.ts';
import { busiest, NamespaceChooser } from './namespace-chooser.ts';
import type { Sorting } from './tree-rows.ts';

export interface LiveEvents {
  status(status: FeedStatus): void;
  /** Another namespace is to be shown. */
  chosen(namespace: string): void;
}

const DEFAULT_NAMESPACE = 'default';
const NAMESPACES_EVERY_MS = 5000;

export class LiveView {
  readonly element = h('div');
  readonly #events: LiveEvents;
  readonly #model = new LockModel();
  readonly #feed: Feed;
  readonly #tree: LockTree;
  readonly #figures = new LiveFigures(this.#model);
  readonly #chooser: NamespaceChooser;
  readonly #filter = h('input', { id: 'filter', type: 'search', placeholder: 'orders/17' });
  readonly #sorting = h('select', { id: 'sorting' });
  readonly #count = h('p', { class: 'count' });
  readonly #frames = new Frames(() => this.#draw());
  readonly #details: Details;
  readonly #dialog: EvictDialog;
  readonly #tokens: Tokens;
  #status: FeedStatus = { kind: 'connecting' };
  #namespace: string | undefined;
  #isFirstChoice = false;
  #isStuck = false;
  #namespacesAtMs = 0;

  constructor(address: ServerAddress, tokens: Tokens, events: LiveEvents) {
    this.#events = events;
    this.#tokens = tokens;
    this.#feed = new Feed(address, this.#model, {
      status: (status) => this.#setStatus(status),
      changed: () => this.#frames.request(),
      acquired: (count) => this.#figures.acquired(count),
      dropped: () => this.#figures.dropped(),
    });
    this.#tree = new LockTree(
      'Locks by path',
      this.#model,
      () => this.#draw(),
      ({ key, lock }) => {
        this.#tree.list.markOpen(key);
        this.#details.open(lock.id, this.#feed.client);
      },
    );
    this.#chooser = new NamespaceChooser((namespace) => events.chosen(namespace));
    this.#filter.addEventListener('input', () => this.#draw());
    this.#sorting.append(
      h('option', { value: 'stuck' }, 'longest wait first'),
      h('option', { value: 'path' }, 'by path'),
    );
    this.#sorting.addEventListener('change', () => this.#draw());
    const toolbar = h(
      'form',
      { class: 'toolbar', role: 'search', 'aria-label': 'What is shown' },
      field('Namespace', this.#chooser.element),
      field('Path or client', this.#filter),
      field('Order', this.#sorting),
      this.#count,
    );
    toolbar.addEventListener('submit', (event) => event.preventDefault());
    this.#dialog = new EvictDialog(this.#model, {
      evict: (target) => {
        const namespace = this.#namespace ?? DEFAULT_NAMESPACE;
        return evict(this.#feed.client, namespace, target, address, tokens);
      },
      adminToken: (token) => {
        tokens.admin = token;
      },
    });
    this.#details = this.#newDetails();
    const split = h('div', { class: 'split' }, this.#tree.element, this.#details.element);
    this.element.append(this.#figures.element, toolbar, split, this.#dialog.element);
    setInterval(() => this.#tick(), 1000);
  }

  get isShown(): boolean {
    return this.element.offsetParent !== null;
  }

  /** @param namespace undefined for one in which something happens */
  show(namespace: string | undefined): void {
    if (namespace === undefined && this.#namespace !== undefined) return;
    if (namespace !== undefined && namespace === this.#namespace) return;
    this.#isFirstChoice = namespace === undefined;
    this.#namespace = namespace ?? DEFAULT_NAMESPACE;
    this.#tree.expandAll();
    this.#start();
  }

  /** Connects again, as with another token. */
  restart(): void {
    this.#start();
  }

  stop(): void {
    this.#feed.stop();
  }

  /** Draws what may have changed while the view was hidden. */
  refresh(): void {
    this.#frames.request();
  }

  #start(): void {
    const namespace = this.#namespace ?? DEFAULT_NAMESPACE;
    this.#chooser.choose(namespace);
    this.#figures.clear();
    this.#feed.start(namespace, this.#tokens.client);
    this.#details.hide();
    this.#tree.list.markOpen(undefined);
    this.#namespacesAtMs = 0;
    this.#frames.request();
  }

  #setStatus(status: FeedStatus): void {
    this.#status = status;
    this.#events.status(status);
    // What is shown may have changed meanwhile.
    this.#tree.element.classList.toggle('stale', status.kind !== 'connected');
    if (status.kind === 'connected') void this.#refreshNamespaces();
    else if (status.kind === 'disconnected') this.#title('disconnected');
    this.#frames.request();
  }

  /** For a tab in the background. */
  #title(state: string): void {
    if (this.isShown) document.title = `${state}, ${printable(this.#namespace ?? '')}`;
  }

  async #refreshNamespaces(): Promise<void> {
    const { client } = this.#feed;
    this.#namespacesAtMs = performance.now();
    if (client === undefined) return;
    try {
      const listed = await this.#chooser.refresh(client);
      if (!this.#isFirstChoice) return;
      this.#isFirstChoice = false;
      const namespace = busiest(listed);
      if (namespace !== undefined) this.#events.chosen(namespace);
    } catch {
      // The feed says why it has no connection.
    }
  }

  #tick(): void {
    const nowMs = performance.now();
    const isKnown = this.#status.kind === 'connected' && this.#feed.isListed;
    this.#figures.tick(isKnown, nowMs);
    if (this.#status.kind !== 'connected') return;
    if (nowMs - this.#namespacesAtMs > NAMESPACES_EVERY_MS) void this.#refreshNamespaces();
    this.#tree.list.draw();
    void this.#details.refresh(this.#feed.client);
    if (isKnown) this.#tellWaits(nowMs);
  }

  /** In the title; to screen readers when something is stuck. */
  #tellWaits(nowMs: number): void {
    const { enqueued } = this.#model;
    this.#title(`${enqueued} waiting`);
    const longest = this.#model.longestWaiting();
    const isStuck = longest !== undefined && heatOf(nowMs - longest.sinceMs) === 'stuck';
    if (isStuck === this.#isStuck) return;
    this.#isStuck = isStuck;
    if (!this.isShown) return;
    if (isStuck) announce(`Stuck: ${whoText(longest)} waits for ${lockText(longest)}.`);
    else announce('Nothing is stuck any more.');
  }

  #draw(): void {
    const sorting: Sorting = this.#sorting.value === 'path' ? 'path' : 'stuck';
    const filter = this.#filter.value.trim();
    this.#tree.draw({ sorting, filter }, this.#emptyText(filter));
    const { size } = this.#model;
    const rest = this.#feed.isPartial ? '; there are more, which are not listed' : '';
    setText(this.#count, `${size} ${size === 1 ? 'lock' : 'locks'}${rest}`);
  }

  #emptyText(filter: string): string {
    if (!this.#feed.isListed) return 'No locks are known yet.';
    if (filter !== '' && this.#model.size > 0) return 'No path and no client contains this text.';
    return 'No locks here at the moment. They appear as clients ask for them.';
  }

  #newDetails(): Details {
    const find = (id: string, act: (lock: PageLock) => void): void => {
      const lock = this.#model.get(id);
      if (lock !== undefined) act(lock);
    };
    return new Details({
      closed: () => {
        this.#tree.list.markOpen(undefined);
        this.#tree.list.element.focus({ preventScroll: true });
      },
      evictLock: (id) => find(id, (lock) => this.#dialog.askForLock(lock)),
      endSession: (id) => find(id, (lock) => this.#dialog.askForSession(lock)),
    });
  }
}

function field(label: string, control: HTMLElement): HTMLElement {
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control);
}
