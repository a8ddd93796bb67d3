import { RawSession } from '../../src/cli/shell/raw-session.ts';
import { Shell } from '../../src/cli/shell/shell.ts';
import type { ConnectOptions } from '../../src/client/index.ts';
import { nodeEnvironment } from '../../src/client/node-environment.ts';
import { parseUrl } from '../../src/client/url.ts';

/** A shell in this process, on a real server. */
export class ShellSession {
  readonly shell: Shell;
  readonly rawSession: RawSession;
  out = '';
  /** Whether the shell has left; with the code of the error, if one made it. */
  left: string | undefined;
  /** Breaks the connection. */
  cut = (): void => {};

  constructor(url: string, options: ConnectOptions & { readonly isRaw?: boolean } = {}) {
    const { isRaw = false, token } = options;
    const target = parseUrl(url);
    const environment = nodeEnvironment(target, options);
    const { open } = environment;
    this.shell = new Shell(
      {
        clock: environment.clock,
        paper: () => ({}),
        out: (text) => {
          this.out += text;
        },
        isReady: () => this.rawSession.isReady,
        send: (text) => this.rawSession.send(text),
        leave: (error) => {
          this.left = error?.code ?? 'bye';
        },
        promptChanged: () => {},
      },
      isRaw,
    );
    const settings = { namespace: undefined, token, label: 'shell', abandonTimeoutMs: undefined };
    this.rawSession = new RawSession(
      {
        ...environment,
        open: (...connection) => {
          const transport = open(...connection);
          this.cut = () => transport.destroy();
          return transport;
        },
      },
      target,
      settings,
      this.shell.narrator,
    );
  }

  run(line: string): Promise<boolean> {
    return this.shell.run(line);
  }

  /** What was written since the last call. */
  taken(): string {
    const text = this.out;
    this.out = '';
    return text;
  }

  /** What was written since the last call, with ids as ID and times as TIME. */
  said(): string {
    return this.taken()
      .replaceAll(/\b\d{16}\b/g, 'ID')
      .replaceAll(/\b\d+m?s\b|[\d.]+ ms/g, 'TIME')
      .replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS');
  }
}
