/** Builds the sources for the children of these tests, starts supervisors as programs, and sends them HTTP requests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'rolldown';

const ROOT = resolve(import.meta.dirname, '../..');
/** What the fixtures and the scripts of these tests import, and what Node loads by its path. */
const ENTRIES = [
  ...['errors', 'log', 'metrics/meter', 'net/held-socket', 'process/program/signals', 'process/supervisor/supervisor'],
  ...['process/daemon/drop-privileges', 'process/daemon/logfile', 'process/daemon/pidfile'],
  ...['process/worker/worker', 'process/worker/inspection-thread'],
];
export const FIXTURES = join(ROOT, 'test/fixtures/process');

/**
 * Bundles the sources like `dist/`, because otherwise each worker process would read several hundred files. Types are not checked. The
 * directory is below node_modules, so that packages resolve and reloads ignore it like an installed paster.
 */
export async function buildSources(): Promise<string> {
  const dir = mkdtempSync(join(ROOT, 'node_modules/.process-test-'));
  await build({
    input: Object.fromEntries(ENTRIES.map((name) => [name, join(ROOT, `src/${name}.ts`)])),
    platform: 'node',
    external: /^[^./]/,
    logLevel: 'silent',
    output: { dir, entryFileNames: '[name].js', chunkFileNames: '[name].js' },
  });
  return dir;
}

export function removeTree(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'paster-process-'));
}

/** Saves like an editor that writes another file and renames it. */
export function saveByRename(file: string, content: string): void {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}

/** Saves like vim: the old file is moved away, and a new one gets its name. */
export function saveByBackup(file: string, content: string): void {
  renameSync(file, `${file}~`);
  writeFileSync(file, content);
}

/** A module that responds to every request with a text, and does something at some paths. */
export function appAnswering(text: string): string {
  return `export default (req, res) => {
    if (req.url === '/exit') process.exit(9);
    if (req.url === '/stick') for (;;);
    if (req.url === '/pid') return res.end(String(process.pid));
    if (req.url === '/slow') return setTimeout(() => res.end(${JSON.stringify(text)}), 400);
    res.end(${JSON.stringify(text)});
  };\n`;
}

/** A supervisor in its own process. */
export class Program {
  readonly child: ChildProcess;
  output = '';
  log = '';

  constructor(build: string, options: Record<string, unknown>) {
    this.child = spawn(
      process.execPath,
      [join(FIXTURES, 'supervisor.mjs'), JSON.stringify({ entry: join(FIXTURES, 'http-worker.mjs'), ...options })],
      { env: { ...process.env, PASTER_BUILD: build }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.child.stdout?.on('data', (data) => {
      this.output += data;
    });
    this.child.stderr?.on('data', (data) => {
      this.log += data;
    });
  }

  /** Resolves to the port. */
  async ready(): Promise<number> {
    await until(
      () => this.output.includes('\n'),
      () => this.log,
    );
    const port = /^ready (\d+)/.exec(this.output)?.[1];
    if (port === undefined) throw new Error(`${this.output}${this.log}`);
    return Number(port);
  }

  async logged(pattern: RegExp): Promise<void> {
    await until(
      () => pattern.test(this.log),
      () => `no ${pattern} in:\n${this.log}`,
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  get exited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Kills the process, unless it has ended. */
  async end(): Promise<void> {
    if (!this.exited) this.child.kill('SIGKILL');
    await until(() => this.exited);
  }
}

const LIMIT_MS = 15_000;

/** Waits for a condition. The timeout is generous: it fails only if the condition would never become true. */
export async function until(condition: () => boolean | Promise<boolean>, why: () => string = () => ''): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`the condition has not become true. ${why()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** One request on a new connection, or on one of an agent. */
export function ask(port: number, path = '/', agent: Agent | false = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent, timeout: LIMIT_MS }, (response) => {
      let body = '';
      response.on('data', (data) => {
        body += data;
      });
      response.on('end', () => resolve(body));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error('no response')));
    request.on('error', reject);
  });
}

/** Sends requests until it is stopped, each client with a pause of this number of milliseconds, and counts them. */
export function load(port: number, clients = 8, keepAlive = false, pause = 0) {
  const answers = new Map<string, number>();
  const failures: string[] = [];
  let stopped = false;
  const agents: Agent[] = [];
  const running = Array.from({ length: clients }, async () => {
    const agent = keepAlive ? new Agent({ keepAlive: true, maxSockets: 1 }) : undefined;
    if (agent) agents.push(agent);
    while (!stopped) {
      try {
        const answer = await ask(port, '/', agent ?? false);
        answers.set(answer, (answers.get(answer) ?? 0) + 1);
      } catch (error) {
        failures.push(String(error));
      }
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    }
  });
  return {
    answers,
    failures,
    get total() {
      return [...answers.values()].reduce((sum, count) => sum + count, 0);
    },
    async stop() {
      stopped = true;
      await Promise.all(running);
      for (const agent of agents) agent.destroy();
    },
  };
}
