/** A server in its own directory that the tests upgrade, and the applications that it serves. */
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, Program, ROOT, requireTool } from '../../helpers/programs/program.ts';
import { saveByRename } from '../../process/program.ts';

export const PASTER = join(ROOT, 'bin/paster.js');
export const OLD_NODE = requireTool('node 22') ?? process.execPath;

/** Responds with its PID, and to `/held` once the file `release` exists. */
export const APP = `import { existsSync, writeFileSync } from 'node:fs';
export default (req, res) => {
  if (req.url !== '/held') return res.end(String(process.pid));
  writeFileSync('held', '');
  const timer = setInterval(() => {
    if (!existsSync('release')) return;
    clearInterval(timer);
    res.end('held by ' + process.pid);
  }, 20);
};
`;

/** An application that never finishes loading. */
export const HANGING = 'setInterval(() => {}, 1000);\nawait new Promise(() => {});\nexport default () => {};\n';

export const HTTP = 'use = npm:paster#http\nport = 0';
export const FASTCGI = 'use = npm:paster#fastcgi\nsocket = a.sock';
export const ini = (section: string) => `[app:main]\nuse = module:./app.js\n[server:main]\n${section}\n`;

/** Tests of what is the same with and without a supervisor run with each of these settings. */
export const MODES = [
  ['one process', ''],
  ['workers', 'workers = 1'],
] as const;

export const get = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text();

interface StartOptions {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly app?: string;
}

/** Starts a server with these settings. */
export async function start(
  section: string,
  { args = [], env = {}, app = APP }: StartOptions = {},
): Promise<UpgradedServer> {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': app, 'x.ini': ini(section) });
  const command = [PASTER, 'serve', 'x.ini', '--pid-file', 'x.pid', ...args];
  // For tests with other users.
  chmodSync(directory, 0o755);
  const program = new Program(OLD_NODE, command, { cwd: directory, env });
  const [, url = ''] = await program.says(/^serving on (\S+)$/m);
  const server = new UpgradedServer(directory, program, url);
  if (server.isDaemon) await program.finished();
  return server;
}

export class UpgradedServer {
  readonly directory: string;
  /** The process that the test has started; after an upgrade it is the launcher of the serving process. */
  readonly program: Program;
  readonly url: string;

  constructor(directory: string, program: Program, url: string) {
    this.directory = directory;
    this.program = program;
    this.url = url;
    onTestFinished(async () => {
      if (this.isDaemon) await this.paster(['serve', '--stop-daemon', '--pid-file', 'x.pid']).finished();
    });
  }

  get isDaemon(): boolean {
    return this.program.child.spawnargs.includes('start');
  }

  paster(args: readonly string[], { node = OLD_NODE, bin = PASTER, env = {} } = {}): Program {
    return new Program(node, [bin, ...args], { cwd: this.directory, env });
  }

  /** @returns the output of the command */
  async upgrade(how: { readonly node?: string; readonly bin?: string } = {}): Promise<string> {
    const { status, stdout, stderr } = await this.paster(['upgrade', 'x.ini'], how).finished();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  }

  async failToUpgrade(): Promise<string> {
    const { status, stdout, stderr } = await this.paster(['upgrade', 'x.ini']).finished();
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    return stderr;
  }

  /** The PID of the serving process. */
  get pid(): number {
    return Number(this.read('x.pid').split('\n')[0]);
  }

  /** The PID, from the log, of a process that an upgrade has started. */
  async startedPid(round: number): Promise<number> {
    const started = /upgrading: process (\d+) starts/g;
    return eventually(() => Number([...this.program.stderr.matchAll(started)][round - 1]?.[1] ?? 0) || undefined);
  }

  /** Resolves when the process that the test has started has become the launcher of another one. */
  async becomesLauncher(): Promise<void> {
    await eventually(() => readFileSync(`/proc/${this.program.pid}/cmdline`, 'utf8').startsWith('paster: launcher'));
  }

  read(name: string): string {
    return readFileSync(join(this.directory, name), 'utf8');
  }

  save(name: string, text: string): void {
    saveByRename(join(this.directory, name), text);
  }
}
