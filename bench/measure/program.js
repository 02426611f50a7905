/** Programs under measurement: started, asked what they have cost so far, ended by their PID. Needs Linux's /proc. */
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const START_MS = 15_000;
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Prefixes a command so that it runs on these processors only. @param processors undefined: on all */
export function pinned(command, processors) {
  if (processors === undefined) return command;
  return ['taskset', '-c', processors, ...command];
}

export class Program {
  #child;
  #command;
  #output = '';

  constructor(child, command) {
    this.#child = child;
    this.#command = command.join(' ');
  }

  /**
   * @param {string[]} command
   * @param {{ ready?: RegExp, env?: Record<string, string>, cwd?: string }} options `ready`: matches the line that it prints when it serves
   */
  static async start(command, { ready, env, cwd } = {}) {
    const child = spawn(command[0], command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd,
      env: { ...process.env, ...env },
    });
    const program = new Program(child, command);
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(program.#error('is not ready')), START_MS);
      child.once('error', reject);
      child.once('exit', () => reject(program.#endError()));
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on('line', (line) => {
          program.#output += `${line}\n`;
          if (ready?.test(line)) resolve(clearTimeout(late));
        });
      }
      if (ready === undefined) child.once('spawn', () => resolve(clearTimeout(late)));
    }).catch((error) => {
      child.kill('SIGKILL');
      throw error;
    });
    return program;
  }

  #error(what) {
    return new Error(`${this.#command} ${what}:\n${this.#output}`);
  }

  #endError() {
    return this.#error(`ended with ${this.#child.exitCode ?? this.#child.signalCode}`);
  }

  get pid() {
    return this.#child.pid;
  }

  /** The processes that it has started itself. */
  children() {
    return childrenOf(this.pid);
  }

  /** Processor time so far of the process and its children, in microseconds. */
  cpu() {
    if ((this.#child.exitCode ?? this.#child.signalCode) !== null) throw this.#endError();
    const children = childrenOf(this.pid).map((pid) => {
      try {
        return ticksOf(pid);
      } catch {
        // It has just ended, so the process has its time.
        return 0;
      }
    });
    return (children.reduce((sum, ticks) => sum + ticks, ticksOf(this.pid)) * 1e6) / ticksPerSecond;
  }

  /** PIDs of it and of all that it has started, directly or not. */
  everyProcess() {
    return [this.pid, ...descendantsOf(this.pid)];
  }

  /**
   * Processor time so far of the process and all its descendants, exactly, in milliseconds. Only for a program that has just
   * started: threads and processes that have ended do not count.
   */
  cpuOfStart() {
    return this.everyProcess().reduce((sum, pid) => sum + scheduledTime(pid), 0) / 1e6;
  }

  /** Resident memory in bytes: now, and at its highest. */
  memory() {
    return memoryOf(this.pid);
  }

  /** Ends it, and the children that it leaves behind. */
  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const children = descendantsOf(this.pid);
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), 3000);
    await gone;
    clearTimeout(late);
    for (const pid of children) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended with its parent.
      }
    }
  }
}

/** Resident memory of a process in bytes: now, and at its highest. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') };
}

/** A TCP port of 127.0.0.1 on which no process listens. @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function childrenOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}

function descendantsOf(pid) {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Nanoseconds on a processor of all threads: the first field of schedstat. */
function scheduledTime(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const times = threads.map((id) => Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]));
  return times.reduce((sum, time) => sum + time, 0);
}

/** Processor time of a process and of its children that have ended. */
function ticksOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime, stime, cutime and cstime: fields 14 to 17 of proc(5).
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
}
