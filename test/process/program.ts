/** Builds the sources for the children of these tests, starts supervisors as programs, and asks them over HTTP. */
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
 * Bundles the sources as `dist/` is, since a process for each worker would read some hundred files. Types are not checked. The
 * directory is below node_modules, so that packages resolve and reloads ignore it as they ignore an installed paster.
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

/** Saves as an editor does that writes another file and renames it. */
export function saveByRename(file: string, content: string): void {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}

/** Saves as vim does: the old file moves away, a new one takes its name. */
export function saveByBackup(file: string, content: string): void {
  renameSync(file, `${file}~`);
  writeFileSync(file, content);
}

/** A module that answers every request with a text, and does what some paths ask. */
export function appAnswering(text: string): string {
  return `export default (req, res) => {
    if (req.url === '/exit') process.exit(9);
    if (req.url === '/stick') for (;;);
    if (req.url === '/pid') return res.end(String(process.pid));
    if (req.url === '/slow') return setTimeout(() => res.end(${JSON.stringify(text)}), 400);
    res.end(${JSON.stringify(text)});
  };\n`;
}

/** A supervisor in a process of its own. */
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

  /** Ends it, whatever state it is in. */
  async end(): Promise<void> {
    if (!this.exited) this.child.kill('SIGKILL');
    await until(() => this.exited);
  }
}

const LIMIT_MS = 15_000;

/** Waits for a condition. Generous: it fails only where the condition would never come. */
export async function until(condition: () => boolean | Promise<boolean>, why: () => string = () => ''): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain. ${why()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** One request on a connection of its own, or of an agent. */
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
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', reject);
  });
}

/** Asks until it is stopped, each client with a pause of so many milliseconds, and keeps count. */
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
