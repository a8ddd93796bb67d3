/**
 * Network namespaces: a hub, where etcd and clients are, and sites, where servers are. Each site has
 * two links to the hub: one for etcd and one for clients. So a server can be cut off from either: no
 * FIN, no RST, just silence. The network of the machine itself is not touched.
 */
import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';

/** The hub's address for etcd. */
export const ETCD_HOST = '198.18.0.1';

type Purpose = 'etcd' | 'clients';
const PURPOSES: readonly Purpose[] = ['etcd', 'clients'];

const HUB = `locktopus-hub-${process.pid}`;

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}

/** Why there can be no namespace here; false if there can. */
export function namespacesAreMissing(): string | false {
  try {
    ip('netns', 'add', HUB);
    ip('netns', 'delete', HUB);
    return false;
  } catch {
    return 'no network namespace can be made here: that takes root and iproute2';
  }
}

/** What a process in the hub must know of a site. */
export interface SiteNames {
  readonly hub: string;
  readonly namespace: string;
  readonly host: string;
}

/** Makes a hub with sites, until the test ends. */
export function makeSites(t: TestContext, count: number): readonly SiteNames[] {
  const add = (namespace: string): void => {
    ip('netns', 'add', namespace);
    t.after(() => ip('netns', 'delete', namespace));
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
  };
  add(HUB);
  ip('-n', HUB, 'address', 'add', `${ETCD_HOST}/32`, 'dev', 'lo');
  return Array.from({ length: count }, (_, site) => {
    const namespace = `locktopus-site${site}-${process.pid}`;
    add(namespace);
    for (const [i, purpose] of PURPOSES.entries()) {
      const network = `198.18.${2 * site + i + 1}`;
      const [here, there] = [linkOf(namespace, purpose), purpose];
      ip('-n', HUB, 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', namespace);
      ip('-n', HUB, 'address', 'add', `${network}.1/30`, 'dev', here);
      ip('-n', namespace, 'address', 'add', `${network}.2/30`, 'dev', there);
      ip('-n', HUB, 'link', 'set', here, 'up');
      ip('-n', namespace, 'link', 'set', there, 'up');
      if (purpose === 'etcd') ip('-n', namespace, 'route', 'add', ETCD_HOST, 'via', `${network}.1`);
    }
    return { hub: HUB, namespace, host: `198.18.${2 * site + 2}.2` };
  });
}

/** The hub's end of a link to a site: at most 15 characters. */
function linkOf(namespace: string, purpose: Purpose): string {
  const [site] = /\d/.exec(namespace) ?? [];
  return `${purpose}${site}`;
}

/** Runs a command in a namespace: what comes before it. */
export function inNamespace(namespace: string): readonly string[] {
  return ['ip', 'netns', 'exec', namespace];
}

/** A place for a server, as a process in the hub sees it. */
export class Site {
  readonly host: string;
  readonly #names: SiteNames;

  constructor(names: SiteNames) {
    this.#names = names;
    this.host = names.host;
  }

  /** For a shell: replaces itself by its arguments as a command in the site. */
  get shell(): string {
    return `exec ${inNamespace(this.#names.namespace).join(' ')} "$@"`;
  }

  cut(purpose: Purpose): void {
    this.#set(purpose, 'down');
  }

  /** Both links are up again. */
  heal(): void {
    for (const purpose of PURPOSES) this.#set(purpose, 'up');
  }

  #set(purpose: Purpose, state: 'up' | 'down'): void {
    const { hub, namespace } = this.#names;
    ip('-n', hub, 'link', 'set', linkOf(namespace, purpose), state);
  }
}
