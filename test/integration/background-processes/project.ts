/** Projects with `[process:*]` sections, and what their processes have written. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { type Program, paster } from '../../helpers/programs/program.ts';

/** Writes to `notes` when each of its processes starts and ends, and prints its setting. */
export const MAILER = `import { appendFileSync } from 'node:fs';
const note = (what) => appendFileSync(process.env.NOTES ?? 'notes', what + ' ' + process.pid + '\\n');
export async function run(globalConf, { greeting }, signal) {
  note('begins');
  console.log('mailer says', greeting);
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  note('ends');
}
export const make = (globalConf, { greeting }) => {
  let stop;
  return {
    run: () => new Promise((resolve) => { stop = resolve; note('begins'); console.log('made', greeting); }),
    stop() { note('ends'); stop(); },
  };
};
export const forSignal = () => (signal) => run({}, { greeting: 'signal' }, signal);
export const ready = { run: (signal) => run({}, { greeting: 'ready' }, signal) };
export const crashes = (globalConf, localConf, signal) => new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error('the queue is gone')), 50);
});
`;

export const WEB = `[app:main]
use = call:./app.js:makeApp
[server:main]
use = npm:paster#http
port = 0
`;

export function project(sections: string, files: Readonly<Record<string, string>> = {}): string {
  return temporaryDirectory({
    'app.js': 'export const makeApp = () => (req, res) => res.end(String(process.pid));\n',
    'mailer.js': MAILER,
    'package.json': '{"type": "module"}',
    'x.ini': sections,
    ...files,
  });
}

/** The lines of the file `notes`. */
export function notes(cwd: string): string[] {
  const file = join(cwd, 'notes');
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}

interface Status {
  readonly pid: number;
  readonly workers: readonly { pid: number; state: string }[];
  readonly processes?: readonly { name: string; isStopped: boolean; workers: { pid: number; state: string }[] }[];
}

export async function statusOf(cwd: string): Promise<Status> {
  const { stdout, stderr } = await runHere(['status', '--json', 'x.ini'], { cwd });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout).servers[0];
}

/** The PIDs of the processes of a section that are ready. */
export async function pids(cwd: string, name: string): Promise<number[]> {
  const { processes = [] } = await statusOf(cwd);
  return (processes.find((each) => each.name === name)?.workers ?? [])
    .filter(({ state }) => state === 'ready')
    .map(({ pid }) => pid);
}

/** Starts a server without web workers. */
export async function serveAlone(cwd: string, args: readonly string[] = []): Promise<Program> {
  const program = paster(['serve', 'x.ini', ...args], { cwd });
  await program.says(/^Starting server in PID \d+\.$/m);
  return program;
}
