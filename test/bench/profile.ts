/** A CPU profile of a server, summed up: where its time went, in percent of what it did not rest. */

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const MOST_SHOWN = 25;

type Share = 'ours' | 'packages' | "Node's JavaScript" | 'native' | 'program' | 'gc' | 'idle';

const MEANING: Readonly<Record<Share, string>> = {
  ours: 'JavaScript of ours',
  packages: 'JavaScript of packages',
  "Node's JavaScript": "JavaScript of Node's",
  native: 'native functions called from JavaScript: JSON.parse, and writing, with the kernel',
  program: 'the rest of the process: reading, polling, libuv, with the kernel',
  gc: 'garbage collection',
  idle: 'idle',
};

/** @param json a .cpuprofile */
export function formatProfile(json: string): string {
  const { nodes, samples, timeDeltas } = JSON.parse(json) as Profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const shares = new Map<Share, number>();
  const functions = new Map<string, number>();
  for (let i = 0; i < samples.length; i++) {
    const node = byId.get(samples[i] ?? 0);
    if (node === undefined) continue;
    const us = timeDeltas[i] ?? 0;
    const share = shareOf(node);
    shares.set(share, (shares.get(share) ?? 0) + us);
    if (share === 'idle') continue;
    const name = nameOf(node);
    functions.set(name, (functions.get(name) ?? 0) + us);
  }
  const idle = shares.get('idle') ?? 0;
  const busy = [...shares.values()].reduce((sum, us) => sum + us, 0) - idle;
  const percent = (us: number): string => `${((us * 100) / busy).toFixed(1).padStart(6)} %`;
  shares.delete('idle');
  const ranked = (map: ReadonlyMap<string, number>) => [...map].sort((a, b) => b[1] - a[1]);
  return [
    `  busy ${((busy * 100) / (busy + idle)).toFixed(0)} % of the time; of that:`,
    ...ranked(shares).map(([share, us]) => `  ${percent(us)}  ${MEANING[share as Share]}`),
    '  by function (itself, not what it calls):',
    ...ranked(functions)
      .slice(0, MOST_SHOWN)
      .map(([name, us]) => `  ${percent(us)}  ${name}`),
  ].join('\n');
}

function shareOf({ callFrame: { functionName, url } }: ProfileNode): Share {
  if (functionName === '(idle)') return 'idle';
  if (functionName === '(garbage collector)') return 'gc';
  if (functionName === '(program)' || functionName === '(root)') return 'program';
  if (url.startsWith('node:')) return "Node's JavaScript";
  if (url.includes('/node_modules/')) return 'packages';
  return url === '' ? 'native' : 'ours';
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const file = url.startsWith('node:') ? url : url.split('/').slice(-2).join('/');
  const name = functionName === '' ? '(anonymous)' : functionName;
  return url === '' ? name : `${name} ${file}:${lineNumber + 1}`;
}
