/** The playground: connections side by side, and the tree of what they lock beside them. */
import type { OpenTransport } from '../client/transport.ts';
import { openWebSocket } from '../client/transport-websocket.ts';
import type { Tokens } from './administrator.ts';
import { announce, button, h, setText } from './dom.ts';
import { Feed, type FeedStatus, type ServerAddress } from './feed.ts';
import { Frames } from './frames.ts';
import { LockTree } from './lock-tree.ts';
import { LockModel } from './model.ts';
import type { OwnLock } from './own-locks.ts';
import { PlaygroundCard } from './playground-card.ts';
import { RawConnection } from './raw-connection.ts';
import { SCENES, type Scene } from './scenes.ts';

const LABELS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
/** So short that one sees how locks are abandoned. */
const ABANDON_TIMEOUT_MS = 20_000;
/** Between two steps of a scene, so that one can follow. */
const STEP_MS = 800;

export class PlaygroundView {
  readonly element = h('div');
  readonly #address: ServerAddress;
  readonly #tokens: Tokens;
  readonly #model = new LockModel();
  readonly #feed: Feed;
  readonly #tree: LockTree;
  readonly #namespace: string;
  readonly #cards = h('div', { class: 'cards' });
  readonly #says = h('p', { class: 'says' });
  readonly #frames = new Frames(() => this.#draw());
  #playing: PlaygroundCard[] = [];
  #isStarted = false;
  /** Of the last scene: one that is begun while another one is played ends that one. */
  #scene = 0;

  constructor(address: ServerAddress, tokens: Tokens, status: (status: FeedStatus) => void) {
    this.#address = address;
    this.#tokens = tokens;
    this.#namespace = `playground-${Math.random().toString(36).slice(2, 6)}`;
    this.#feed = new Feed(address, this.#model, {
      status,
      changed: () => this.#frames.request(),
      acquired: () => {},
      dropped: () => {},
    });
    this.#tree = new LockTree('What is locked', this.#model, () => this.#draw());
    const add = button('Add a connection', () => this.#add(''), { class: 'add' });
    const scenes = SCENES.map((scene) => button(scene.name, () => void this.#play(scene)));
    const live = h('a', { href: `#live/${this.#namespace}` }, this.#namespace);
    const about = h(
      'p',
      { class: 'about-playground' },
      'Server ',
      h('code', {}, address.webSocket),
    );
    about.append(', namespace ', live, `: try things here, no other namespace is touched.`);
    const toolbar = h('div', { class: 'scenes', role: 'group', 'aria-label': 'Scenes' });
    toolbar.append(h('span', { class: 'title' }, 'Scenes'), ...scenes, add);
    this.#tree.element.prepend(h('h2', { class: 'tree-title' }, 'What is locked'));
    const split = h('div', { class: 'stage' }, this.#cards, this.#tree.element);
    this.element.append(about, toolbar, this.#says, split);
    setText(this.#says, 'A and B are two clients. Press Lock in A, then in B, and see B wait.');
    setInterval(() => this.#tick(), 1000);
  }

  show(): void {
    if (!this.#isStarted) this.#start();
    this.#frames.request();
  }

  /** Connects again, as with another token. */
  restart(): void {
    if (this.#isStarted) this.#start();
  }

  stop(): void {
    this.#isStarted = false;
    this.#clear();
    this.#feed.stop();
  }

  #start(): void {
    this.#isStarted = true;
    this.#clear();
    this.#feed.start(this.#namespace, this.#tokens.client);
    this.#add('w orders/17');
    this.#add('r orders');
  }

  #clear(): void {
    for (const { connection } of this.#playing) connection.end();
    this.#playing = [];
    this.#cards.replaceChildren();
  }

  /** @returns undefined if there are as many as there are letters */
  #add(typed: string): PlaygroundCard | undefined {
    const taken = this.#playing.map(({ connection }) => connection.settings.label);
    const label = [...LABELS].find((letter) => !taken.includes(letter));
    if (label === undefined) return undefined;
    const settings = {
      ...{ url: this.#address.webSocket, namespace: this.#namespace, label },
      ...{ token: this.#tokens.client, abandonTimeoutMs: ABANDON_TIMEOUT_MS },
    };
    const connection = new RawConnection(settings, openSocket, () => performance.now(), {
      changed: () => this.#frames.request(),
      lockChanged: (lock) => announce(changeText(label, lock)),
    });
    const card = new PlaygroundCard(connection, typed, () => this.#remove(card));
    this.#playing.push(card);
    this.#playing.sort((a, b) => (labelOf(a) < labelOf(b) ? -1 : 1));
    const next = this.#playing[this.#playing.indexOf(card) + 1];
    this.#cards.insertBefore(card.element, next?.element ?? null);
    void connection.connect();
    return card;
  }

  #remove(card: PlaygroundCard): void {
    card.connection.end();
    this.#playing = this.#playing.filter((other) => other !== card);
    card.element.remove();
  }

  async #play({ steps, says }: Scene): Promise<void> {
    const scene = ++this.#scene;
    this.#clear();
    setText(this.#says, '');
    const count = new Set(steps.map(({ who }) => who)).size;
    for (let i = 0; i < count; i++) this.#add('');
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    await Promise.all(this.#playing.map(({ connection }) => connection.opened()));
    for (const { who, asks } of steps) {
      const card = this.#playing.find((other) => labelOf(other) === who);
      if (scene !== this.#scene || card === undefined) return;
      card.type(asks);
      if (!isCalm) await new Promise((resolve) => setTimeout(resolve, STEP_MS));
      await card.ask();
    }
    if (scene !== this.#scene) return;
    setText(this.#says, says);
    announce(says);
  }

  #tick(): void {
    if (this.element.offsetParent === null) return;
    for (const { connection } of this.#playing) connection.tick();
    this.#draw();
  }

  #draw(): void {
    for (const card of this.#playing) card.draw();
    this.#tree.draw({ sorting: 'path', filter: '' }, 'Nothing is locked.');
  }
}

const openSocket: OpenTransport = (address, token, events) => {
  if (address.kind !== 'websocket') throw new TypeError('not a WebSocket');
  return openWebSocket(WebSocket, address.url, token, events);
};

function labelOf({ connection }: PlaygroundCard): string {
  return connection.settings.label;
}

function changeText(label: string, { state, text, reason }: OwnLock): string {
  return `${label}: ${text} ${state}${reason === undefined ? '' : `, ${reason}`}.`;
}
