/** Starts the other FastCGI servers whose programs are installed, and lists those that are left out. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Program, pinned } from '../measure/program.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const NODE_FASTCGI = 'node-fastcgi@2.0.0';

/** @typedef {{ name: string, program: Program, script?: string }} Peer */

/**
 * @param {string} directory
 * @param {(name: string) => string} socketOf
 * @param {string | undefined} processors
 * @returns {Promise<{ peers: Peer[], leftOut: string[] }>}
 */
export async function startPeers(directory, socketOf, processors) {
  const peers = [];
  const leftOut = [];
  for (const [name, start] of Object.entries({ node_fastcgi: nodeFastcgi, go, php, c })) {
    const started = await start(directory, socketOf(name), processors);
    if (typeof started === 'string') leftOut.push(`${name} (${started})`);
    else peers.push({ name, ...started });
  }
  return { peers, leftOut };
}

async function nodeFastcgi(directory, socket, processors) {
  const home = join(directory, 'node-fastcgi');
  mkdirSync(home);
  writeFileSync(join(home, 'package.json'), '{}\n');
  const install = ['install', '--prefix', home, '--no-audit', '--no-fund', '--ignore-scripts', NODE_FASTCGI];
  if (!succeeds('npm', install)) return `npm cannot install ${NODE_FASTCGI}`;
  const command = [process.execPath, here('node-fastcgi.cjs'), home, socket];
  return { program: await Program.start(pinned(command, processors), { ready: /^ready$/ }) };
}

async function go(directory, socket, processors) {
  const binary = join(directory, 'hello-go');
  if (!succeeds('go', ['build', '-o', binary, here('hello.go')])) return 'no go to build it with';
  return { program: await Program.start(pinned([binary, socket], processors), { ready: /^ready$/ }) };
}

async function c(directory, socket, processors) {
  const binary = join(directory, 'responder');
  if (!succeeds('cc', ['-O2', '-o', binary, here('responder.c')])) return 'no cc to build it with';
  return { program: await Program.start(pinned([binary, socket], processors), { ready: /^ready$/ }) };
}

async function php(directory, socket, processors) {
  const binary = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin']
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
    .find((file) => /\/php-fpm[\d.]*$/.test(file));
  if (binary === undefined) return 'no php-fpm';
  const file = join(directory, 'php-fpm.conf');
  const root = process.getuid?.() === 0;
  writeFileSync(
    file,
    `[global]
error_log = ${join(directory, 'php-fpm.log')}
daemonize = no
[www]
${root ? 'user = root\ngroup = root\n' : ''}listen = ${socket}
listen.mode = 0666
pm = static
; A child serves one connection at a time, and the load has 16.
pm.max_children = 16
`,
  );
  const command = [binary, '--fpm-config', file, ...(root ? ['--allow-to-run-as-root'] : [])];
  const program = await Program.start(pinned(command, processors));
  for (let attempt = 0; !existsSync(socket) && attempt < 50; attempt++) await new Promise((r) => setTimeout(r, 100));
  if (!existsSync(socket)) {
    await program.stop();
    return 'php-fpm does not listen after 5 s';
  }
  return { program, script: here('hello.php') };
}

function succeeds(file, args) {
  return spawnSync(file, args, { stdio: 'ignore' }).status === 0;
}
