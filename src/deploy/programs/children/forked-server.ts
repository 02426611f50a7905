/**
 * `next dev` serves from a process that it forks. That process is made to listen on a Unix socket that only its own user
 * can reach, and this one passes it the requests and upgrades that come through the filters of the INI file.
 */
import childProcess, { type ForkOptions } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { forwardRequest, forwardUpgrade } from '../../../gateway/hop/forward.ts';
import { servingAddress } from '../../../net/address.ts';
import { OWN_CODE } from '../../../own-files.ts';
import type { App } from '../../../protocol/types.ts';
import { FORKED_SERVER, type ForkedServerPlace } from './forked-listen.ts';

const PRELOAD = join(OWN_CODE, 'deploy/programs/children/forked-listen.js');
/** How often to look for the socket. */
const POLL_MS = 50;
/** How long a request waits for a server that restarts, as that of Next.js does when its configuration changes. */
const RESTART_MS = 15_000;
/** The longest path of a directory for temporary files: the limit for a Unix socket on macOS, less the rest of the path. */
const LONGEST_BASE = 70;

/** Takes over what the program's forks listen on. The promise settles when one of them does. */
export function takeForkedServer(): Promise<App> {
  const base = tmpdir();
  const directory = mkdtempSync(join(base.length > LONGEST_BASE ? '/tmp' : base, 'paster-fork-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const socket = join(directory, 's');
  const { fork } = childProcess;
  childProcess.fork = ((file: string, ...rest: readonly unknown[]) => {
    const args = Array.isArray(rest[0]) ? rest[0] : [];
    const options = (Array.isArray(rest[0]) ? rest[1] : rest[0]) as ForkOptions | undefined;
    return fork(file, args, { ...options, env: environmentOf(socket, options?.env ?? process.env) });
  }) as typeof fork;
  syncBuiltinESMExports();
  return listening(socket);
}

function environmentOf(socket: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const place: ForkedServerPlace = { socket, address: servingAddress() };
  const preload = `--import=${pathToFileURL(PRELOAD).href}`;
  const options = [env['NODE_OPTIONS'], preload].filter(Boolean).join(' ');
  return { ...env, NODE_OPTIONS: options, [FORKED_SERVER]: JSON.stringify({ ...place, preload }) };
}

async function listening(socket: string): Promise<App> {
  while (!existsSync(socket)) await sleep(POLL_MS);
  return forwardingApp(socket);
}

function forwardingApp(socket: string): App {
  const retry = async (forward: () => Promise<boolean>): Promise<boolean> => {
    const end = performance.now() + RESTART_MS;
    while (!(await forward())) {
      if (performance.now() > end) return false;
      await sleep(POLL_MS);
    }
    return true;
  };
  const app: App = async (req, res) => {
    if ((await retry(async () => res.destroyed || (await forwardRequest(socket, req, res)))) || res.destroyed) return;
    res.writeHead(503, { 'content-type': 'text/plain; charset=utf-8' });
    res.end('The program does not serve at present.\n');
  };
  app.upgrade = async (req, client, head) => {
    const passed = await retry(async () => client.destroyed || (await forwardUpgrade(socket, req, client, head)));
    if (!passed) client.destroy();
  };
  return app;
}
