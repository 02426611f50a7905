/** The programs that serve the same application: how each starts with some workers, and how it reloads. */
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program } from '../measure/program.js';
import { installed } from '../process/edits.js';
import { bareServer, iniFile, serve } from '../process/site.js';

const PACKAGES = { pm2: '7.0.4', wattpm: '3.67.0', '@platformatic/node': '3.65.0' };
/** The oldest Node that Watt runs on. */
const WATT_NODE = [22, 19];

/** Each response names the process or thread that gave it. */
const APP = `import { threadId } from 'node:worker_threads';

const body = process.pid + '.' + threadId;
export default (req, res) => {
  if (req.url === '/slow') for (const until = Date.now() + 100; Date.now() < until; );
  if (req.url === '/crash') setImmediate(() => { throw new Error('crash'); });
  res.end(body);
};
`;

/** What the documentation of node:cluster suggests: workers are replaced one after the other on HUP, and after a crash. */
const CLUSTER = `import cluster from 'node:cluster';
import { once } from 'node:events';

if (cluster.isPrimary) {
  const leaving = new Set();
  const fork = () => {
    const worker = cluster.fork();
    worker.on('exit', () => leaving.has(worker) || fork());
    return worker;
  };
  for (let count = 0; count < Number(process.argv[2]); count++) fork();
  process.on('SIGHUP', async () => {
    for (const old of Object.values(cluster.workers)) {
      await once(fork(), 'listening');
      leaving.add(old);
      old.disconnect();
    }
  });
} else {
  await import('./server.js');
}
`;

/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {(workers: number) => Promise<Program>} start
 * @property {((program: Program) => Promise<unknown>) | undefined} reload absent: it cannot reload
 * @property {boolean} restarts whether it replaces a worker that has crashed
 */

/** @returns {{ peers: Peer[], leftOut: string[] }} */
export function findPeers(directory, port) {
  const at = (name, files) => {
    const home = join(directory, name);
    mkdirSync(home);
    const all = { 'package.json': '{"type": "module", "name": "shop"}', 'app.js': APP, 'server.js': bareServer(port) };
    for (const [file, text] of Object.entries({ ...all, ...files })) writeFileSync(join(home, file), text);
    return home;
  };
  const hup = async ({ pid }) => process.kill(pid, 'SIGHUP');
  const paster = at('paster', { 'x.ini': iniFile(port) });
  const bare = at('node', {});
  const cluster = at('cluster', { 'cluster.js': CLUSTER });
  const peers = [
    {
      name: 'paster',
      start: (workers) => Program.start(serve('x.ini', '-w', String(workers)), { cwd: paster }),
      reload: hup,
      restarts: true,
    },
    {
      name: 'node:cluster',
      start: (workers) => Program.start([process.execPath, 'cluster.js', String(workers)], { cwd: cluster }),
      reload: hup,
      restarts: true,
    },
    { name: 'node', start: () => Program.start([process.execPath, 'server.js'], { cwd: bare }), restarts: false },
  ];
  const modules = installed('paster-bench-peers', PACKAGES);
  if (!modules) return { peers, leftOut: ['pm2, Watt (npm cannot install them)'] };
  peers.push(pm2(at('pm2', {}), modules));
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [from, of] = WATT_NODE;
  if (major < from || (major === from && minor < of)) {
    return { peers, leftOut: [`Watt (needs Node ${WATT_NODE.join('.')})`] };
  }
  const home = at('watt', {});
  symlinkSync(modules, join(home, 'node_modules'));
  peers.push(watt(home, port, modules));
  return { peers, leftOut: [] };
}

/** pm2 in the foreground, with its own PM2_HOME. */
function pm2(cwd, modules) {
  const env = { PM2_HOME: join(cwd, 'home') };
  const command = (file, ...args) => [process.execPath, join(modules, 'pm2/bin', file), ...args];
  return {
    name: `pm2 ${PACKAGES.pm2}`,
    start: (workers) =>
      Program.start(command('pm2-runtime', 'start', 'server.js', '-i', String(workers), '--name', 'shop'), {
        cwd,
        env,
      }),
    reload: () => run(command('pm2', 'reload', 'shop'), { cwd, env: { ...process.env, ...env } }),
    restarts: true,
  };
}

function watt(cwd, port, modules) {
  const command = (...args) => [process.execPath, join(modules, 'wattpm/bin/cli.js'), ...args];
  return {
    name: `Watt ${PACKAGES.wattpm}`,
    start: (workers) => {
      const runtime = { workers, server: { hostname: '127.0.0.1', port }, logger: { level: 'error' } };
      const schema = `https://schemas.platformatic.dev/@platformatic/node/${PACKAGES['@platformatic/node']}.json`;
      const settings = { $schema: schema, node: { main: 'server.js' }, runtime };
      writeFileSync(join(cwd, 'watt.json'), JSON.stringify(settings));
      return Program.start(command('start', '.'), { cwd });
    },
    reload: () => run(command('restart', 'shop'), { cwd }),
    restarts: true,
  };
}

function run([file, ...args], options) {
  return promisify(execFile)(file, args, options);
}
