/** Programs that a test starts: they record their output, can be waited for, and end with the test, by PID. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TestRunner } from 'vitest';
import { PRODUCTS } from '../../../scripts/test-tools/products.ts';
import { TOOLS, toolDirectory } from '../../../scripts/test-tools/tools.ts';
import { noteSkipped } from '../skipped.ts';
import { whenOver } from './lifetime.ts';
import { signal } from './signal.ts';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PASTER = join(ROOT, 'bin/paster.js');

export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** Leaves standard input open, for `type`. */
  readonly typing?: boolean;
  /** Makes it the leader of a process group, which can be sent signals as a whole. */
  readonly ownGroup?: boolean;
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Program {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #exited: Promise<unknown>;
  readonly #closed: Promise<unknown>;
  /** Fires at the next output, and at the end of the output. */
  #news = signal();
  #isOver = false;

  constructor(file: string, args: readonly string[], options: ProgramOptions = {}) {
    this.child = spawn(file, args, {
      cwd: options.cwd,
      env: { ...process.env, NO_COLOR: '1', NODE_OPTIONS: '', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: options.ownGroup ?? false,
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
      this.#tell();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.stderr += text;
      this.#tell();
    });
    this.child.stdin?.on('error', () => {});
    if (!options.typing) this.child.stdin?.end(options.input ?? '');
    this.#exited = once(this.child, 'exit');
    this.#closed = once(this.child, 'close');
    void this.finished().then(() => {
      this.#isOver = true;
      this.#tell();
    });
    whenOver(() => this.#clean());
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get output(): string {
    return this.stdout + this.stderr;
  }

  /** Sends text as if a user typed it at the terminal. */
  type(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Waits until the output matches. @throws Error with the output if the program ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match) return match;
      if (this.#isOver) {
        throw new Error(
          `it ended (${this.child.exitCode ?? this.child.signalCode}) without ${pattern}:\n${this.output}`,
        );
      }
      await this.#news.fired;
    }
  }

  #tell(): void {
    this.#news.fire();
    this.#news = signal();
  }

  async kill(signal: NodeJS.Signals): Promise<Finished> {
    if (this.#alive) this.child.kill(signal);
    return this.finished();
  }

  /** Sends a signal to the program and all its children, if it has its own group. */
  signalGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch {
      // All of them have ended.
    }
  }

  /** Lets the program end its own children, and kills it if that takes too long. */
  async #clean(): Promise<void> {
    if (this.#alive) this.child.kill('SIGINT');
    await Promise.race([this.#exited, sleep(3000)]);
    if (this.#alive) this.child.kill('SIGKILL');
    await this.#exited;
  }

  get #alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async finished(): Promise<Finished> {
    await this.#exited;
    // The rest of the output; a grandchild that is still ending may keep the pipes open.
    await Promise.race([this.#closed, sleep(1000)]);
    return { status: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }
}

/** The built command. */
export function paster(args: readonly string[], options?: ProgramOptions): Program {
  return new Program(process.execPath, [PASTER, ...args], options);
}

/** The user nobody, with root's right to read, because only root may be able to read the clone. */
const AS_NOBODY = [
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--inh-caps=+dac_read_search',
  '--ambient-caps=+dac_read_search',
];

/** `paster` without root's rights, even if root runs the tests. */
export function pasterWithoutRoot(args: readonly string[], options?: ProgramOptions): Program {
  if (process.getuid?.() !== 0) return paster(args, options);
  return new Program('setpriv', [...AS_NOBODY, '--', process.execPath, PASTER, ...args], options);
}

/** Starts `paster serve` and waits for its first address, such as `http://127.0.0.1:8080`. */
export async function serve(args: readonly string[], options?: ProgramOptions): Promise<Program & { url: string }> {
  const program = paster(['serve', ...args], options);
  const [, url = ''] = await program.says(/^serving on (\S+)$/m);
  return Object.assign(program, { url });
}

/** Whether a process is running; a zombie is not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    if (process.platform !== 'linux') return true;
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Below the ports that systems assign to outgoing connections and to `listen(0)`, so that neither takes one before it is used. */
const FIRST_PORT = 10_000;
const PORTS_PER_PROCESS = 2000;

let nextPort = Math.floor(Math.random() * PORTS_PER_PROCESS);

/** A TCP port on which no program listens. Each process of the test runner uses its own range. */
export async function freePort(): Promise<number> {
  const range = FIRST_PORT + (Number(process.env['VITEST_POOL_ID'] ?? 0) % 10) * PORTS_PER_PROCESS;
  for (;;) {
    const port = range + (nextPort++ % PORTS_PER_PROCESS);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
      return port;
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EADDRINUSE') throw error;
    } finally {
      server.close();
    }
  }
}

/** The path of a system program, even if /usr/sbin is not in PATH. */
export function findProgram(name: string): string | undefined {
  const path = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/usr/local/sbin`;
  for (const directory of path.split(delimiter)) {
    const file = join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // It is not in this directory.
    }
  }
  return undefined;
}

/** A program that a test needs. Without it the test is skipped, which is reported once for a whole run; in CI it fails. */
export function requireProgram(name: string): string | undefined {
  return required(name, findProgram(name));
}

/** A program that the running test needs. Without it the test is skipped and says so; in CI it fails. */
export function needProgram(name: string): string {
  const program = requireProgram(name);
  if (program === undefined) return skipTest(`needs ${name}`);
  return program;
}

/** Ends the running test, which is reported as skipped with the reason. */
function skipTest(reason: string): never {
  const running = TestRunner.getCurrentTest();
  if (running?.type !== 'test') throw new Error(`${reason}, outside of a test`);
  return running.context.skip(reason);
}

/** Like `requireProgram`, for what `npm run test:tools` installs: `node 24`, `pnpm`, `express`. */
export function requireTool(name: string): string | undefined {
  const tool = [...TOOLS, ...PRODUCTS].find((each) => each.name === name);
  const file = tool && join(toolDirectory(tool), tool.file);
  return required(name, file !== undefined && existsSync(file) ? file : undefined);
}

/** Whether this is root, for tests of what only root can do. Otherwise the test is skipped, and in CI it fails. */
export function requireRoot(): boolean {
  return required('root', process.getuid?.() === 0 ? 'root' : undefined) !== undefined;
}

function required(name: string, found: string | undefined): string | undefined {
  if (found !== undefined) return found;
  if (process.env['CI'] === 'true') throw new Error(`there is no ${name}`);
  noteSkipped(name);
  return undefined;
}

/** Waits until `probe` returns something other than undefined and false. */
export async function eventually<T>(probe: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    await sleep(20);
  }
}

/** One request over a Unix socket. @returns The body. */
export function getOver(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path: '/', agent: false }, (response) => {
      let body = '';
      response.on('data', (data) => {
        body += data;
      });
      response.on('end', () => resolve(body));
    });
    asking.on('error', reject).end();
  });
}
