/** The live view: the lock tree of a namespace as it is now. */
import { evict, type Tokens } from './administrator.ts';
import { Details } from './details.ts';
import { h, setText } from './dom.ts';
import { EvictDialog } from './evict-dialog.ts';
import { Feed, type FeedStatus, type ServerAddress } from './feed.ts';
import { Frames } from './frames.ts';
import { LiveFigures } from './live-figures.ts';
import { LockList } from './lock-list.ts';
import { LockModel, type PageLock } from './model.ts';
import { busiest, NamespaceChooser } from './namespace-chooser.ts';
import { type Row, type Sorting, treeRows } from './tree-rows.ts';
import { oldestBlocker } from './waits.ts';

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
  readonly #list: LockList;
  readonly #figures = new LiveFigures(this.#model);
  readonly #chooser: NamespaceChooser;
  readonly #filter = h('input', { id: 'filter', type: 'search', placeholder: 'orders/17' });
  readonly #sorting = h('select', { id: 'sorting' });
  readonly #count = h('p', { class: 'count' });
  readonly #empty = h('p', { class: 'empty' });
  readonly #collapsed = new Set<string>();
  readonly #frames = new Frames(() => this.#draw());
  readonly #details: Details;
  readonly #dialog: EvictDialog;
  readonly #tokens: Tokens;
  #status: FeedStatus = { kind: 'connecting' };
  #namespace: string | undefined;
  #isFirstChoice = false;
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
    this.#list = new LockList('Locks by path', {
      opened: (row) => this.#opened(row),
      toggled: (key, isExpanded) => {
        if (isExpanded) this.#collapsed.delete(key);
        else this.#collapsed.add(key);
        this.#draw();
      },
      findBlocker: (lock) => oldestBlocker(this.#model, lock),
    });
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
    const content = h('section', { class: 'locks', 'aria-label': 'Locks' }, listHead());
    content.append(this.#empty, this.#list.element);
    const split = h('div', { class: 'split' }, content, this.#details.element);
    this.element.append(this.#figures.element, toolbar, split, this.#dialog.element);
    setInterval(() => this.#tick(), 1000);
  }

  /** @param namespace undefined for one in which something happens */
  show(namespace: string | undefined): void {
    if (namespace === undefined && this.#namespace !== undefined) return;
    if (namespace !== undefined && namespace === this.#namespace) return;
    this.#isFirstChoice = namespace === undefined;
    this.#namespace = namespace ?? DEFAULT_NAMESPACE;
    this.#collapsed.clear();
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
    this.#details.close();
    this.#namespacesAtMs = 0;
    this.#frames.request();
  }

  #setStatus(status: FeedStatus): void {
    this.#status = status;
    this.#events.status(status);
    if (status.kind === 'connected') void this.#refreshNamespaces();
    this.#frames.request();
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
    this.#list.draw();
    void this.#details.refresh(this.#feed.client);
  }

  #draw(): void {
    const sorting: Sorting = this.#sorting.value === 'path' ? 'path' : 'stuck';
    const filter = this.#filter.value.trim();
    const rows = treeRows(this.#model, { sorting, filter, collapsed: this.#collapsed });
    this.#list.element.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
    setText(this.#empty, this.#emptyText(filter));
    const { size } = this.#model;
    setText(this.#count, `${size} ${size === 1 ? 'lock' : 'locks'}`);
    this.#list.show(rows);
  }

  #emptyText(filter: string): string {
    if (!this.#feed.isListed) return 'No locks are known yet.';
    if (filter !== '' && this.#model.size > 0) return 'No path and no client contains this text.';
    return 'No locks here at the moment. They appear as clients ask for them.';
  }

  #opened(row: Row): void {
    if (row.kind === 'path') return;
    this.#list.markOpen(row.key);
    this.#details.open(row.lock.id, this.#feed.client);
  }

  #newDetails(): Details {
    const find = (id: string, act: (lock: PageLock) => void): void => {
      const lock = this.#model.get(id);
      if (lock !== undefined) act(lock);
    };
    return new Details({
      closed: () => {
        this.#list.markOpen(undefined);
        this.#list.element.focus({ preventScroll: true });
      },
      evictLock: (id) => find(id, (lock) => this.#dialog.askForLock(lock)),
      endSession: (id) => find(id, (lock) => this.#dialog.askForSession(lock)),
    });
  }
}

/** Names of the columns, for the eye: a row reads well without them. */
function listHead(): HTMLElement {
  const names = ['Path', 'For', 'Client', 'Label', 'Waits'];
  const cells = names.map((name) => h('span', {}, name));
  return h('div', { class: 'list-head', 'aria-hidden': 'true' }, ...cells);
}

function field(label: string, control: HTMLElement): HTMLElement {
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control);
}
