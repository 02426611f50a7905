/**
 * The threads and child processes of a program that is served: none of them opens a port past the filters of the INI file. Of the
 * processes, this is about those of Node that `fork` or `spawn` starts; what a shell or another program starts is not known.
 */
import childProcess, { type ChildProcess, type ForkOptions } from 'node:child_process';
import cluster from 'node:cluster';
import { existsSync, realpathSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, delimiter, join } from 'node:path';
import threads, { type WorkerOptions } from 'node:worker_threads';

let preload: string | undefined;
let lastFork: Error | undefined;

/** An error whose stack is that of the program's last call of `fork()` of node:cluster. */
export function placeOfFork(): Error | undefined {
  return lastFork;
}

let areReplaced = false;

/** Replaces what starts threads and processes, for good: packages that are imported ahead keep what they find. */
export function replaceChildren(): void {
  if (areReplaced) return;
  areReplaced = true;
  replaceThreads();
  replaceProcesses();
  syncBuiltinESMExports();
}

/** From now on, each new thread, and each new child process of this Node, refuses to listen. @param file what it loads first */
export function guardChildren(file: string): void {
  replaceChildren();
  preload = file;
}

function replaceThreads(): void {
  const { Worker } = threads;
  threads.Worker = class extends Worker {
    constructor(file: string | URL, options?: WorkerOptions) {
      super(file, preload === undefined ? options : guarded(preload, options));
    }
  };
  Object.defineProperty(threads.Worker, 'name', { value: 'Worker' });
}

/** Required and not imported: the code of a thread that is given as a text does not wait for imports. */
function guarded(file: string, options: WorkerOptions = {}): WorkerOptions {
  return { ...options, execArgv: [...(options.execArgv ?? process.execArgv), `--require=${file}`] };
}

function replaceProcesses(): void {
  const { fork, spawn } = childProcess;
  childProcess.fork = ((file: string, ...rest: readonly unknown[]) => {
    const [args, options] = split(rest) as [string[], ForkOptions];
    if (preload === undefined || !isThisNode(options.execPath ?? process.execPath, options.env)) {
      return fork(file, args, options);
    }
    return fork(file, args, {
      ...options,
      execArgv: [...(options.execArgv ?? process.execArgv), `--require=${preload}`],
    });
  }) as typeof fork;
  childProcess.spawn = ((command: string, ...rest: readonly unknown[]): ChildProcess => {
    const [args, options] = split(rest);
    const isGuarded = preload !== undefined && !options.shell && isThisNode(command, options.env);
    return spawn(command, isGuarded ? [`--require=${preload}`, ...args] : args, options);
  }) as typeof spawn;
  const forkWorker = cluster.fork;
  cluster.fork = (env) => {
    lastFork = new Error();
    if (preload !== undefined) guardWorkers(`--require=${preload}`);
    return forkWorker(env);
  };
}

/** Workers of node:cluster ask this process for their ports, so that it can refuse them. */
function guardWorkers(option: string): void {
  cluster.schedulingPolicy = cluster.SCHED_RR;
  const { execArgv = process.execArgv } = cluster.settings;
  if (!execArgv.includes(option)) cluster.setupPrimary({ execArgv: [...execArgv, option] });
}

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly shell?: boolean | string;
}

/** The arguments and options of `fork` or `spawn`. The caller may leave out either. */
function split(rest: readonly unknown[]): [args: readonly string[], options: StartOptions] {
  const [first, second] = rest;
  const [args, options] = Array.isArray(first) ? [first, second] : [[], first ?? second];
  return [args, (options ?? {}) as StartOptions];
}

const NODE = /^node(?:js)?$/;

/** Whether a command is the program that runs this process. Another version of Node may not know how to load the file. */
function isThisNode(command: string, env: NodeJS.ProcessEnv | null | undefined): boolean {
  if (command === process.execPath) return true;
  if (!NODE.test(basename(command))) return false;
  const directories = command.includes('/') ? [''] : ((env ?? process.env)['PATH'] ?? '').split(delimiter);
  const file = directories.map((directory) => join(directory, command)).find((path) => existsSync(path));
  return file !== undefined && realpathSync(file) === realpathSync(process.execPath);
}
