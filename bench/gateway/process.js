/** Programs under measurement: started, asked what they have cost so far, ended by their pid. Linux's /proc. */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const START_MS = 15_000;
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Prefixes a command so that it stays on some processors; nothing where that cannot be done. */
export function pinned(command, processors) {
  if (processors === undefined) return command;
  return ['taskset', '-c', processors, ...command];
}

export class Program {
  #child;

  constructor(child) {
    this.#child = child;
  }

  /**
   * @param {string[]} command
   * @param {{ ready?: RegExp, env?: Record<string, string> }} options `ready`: what it prints when it serves.
   */
  static async start(command, { ready, env } = {}) {
    const child = spawn(command[0], command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let said = '';
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${command.join(' ')} is not ready:\n${said}`)), START_MS);
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code}:\n${said}`)));
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on('line', (line) => {
          said += `${line}\n`;
          if (ready?.test(line)) resolve(clearTimeout(late));
        });
      }
      if (ready === undefined) child.once('spawn', () => resolve(clearTimeout(late)));
    }).catch((error) => {
      child.kill('SIGKILL');
      throw error;
    });
    return new Program(child);
  }

  get pid() {
    return this.#child.pid;
  }

  /** Processor time so far of the process and its children, in microseconds. */
  cpu() {
    const own = [this.pid, ...childrenOf(this.pid)].map(ticksOf);
    return (own.reduce((sum, ticks) => sum + ticks, 0) * 1e6) / ticksPerSecond;
  }

  /** Resident memory in bytes: now, and at its highest. */
  memory() {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const bytes = (name) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
    return { now: bytes('VmRSS'), peak: bytes('VmHWM') };
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), 3000);
    await gone;
    clearTimeout(late);
  }
}

function childrenOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}

function ticksOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime and stime, fields 14 and 15 of proc(5).
  return Number(fields[11]) + Number(fields[12]);
}
