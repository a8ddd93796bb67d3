/** Forks workers of node:cluster that run the program of its arguments; prints how each ended. */
import cluster from 'node:cluster';

const [exec = '', count = '1', ...args] = process.argv.slice(2);
cluster.setupPrimary({ exec, args });
for (let i = 0; i < Number(count); i++) {
  cluster
    .fork()
    .on('exit', (code, signal) => process.stdout.write(`worker ended: ${code ?? signal}\n`));
}
