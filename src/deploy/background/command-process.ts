/**
 * `command = python3 jobs.py`: runs any program. A worker, which paster supervises, starts the program in a process group of its
 * own, passes the stop signal on to it, and ends when the whole group has ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { seconds } from '../../config/settings/setting-types.ts';
import { ConfigError, errorCode, errorMessage, RunError } from '../../errors.ts';
import { isExistingFile } from '../../files/existing-path.ts';
import { consoleLogger } from '../../logging/configure.ts';
import { ERROR, INFO } from '../../logging/python/record.ts';
import { treeMemory } from '../../machine/capacity.ts';
import { groupEnd, signalGroup } from '../../machine/process-group.ts';
import type { Settings } from '../../protocol/types.ts';
import { commandLine } from './command-line.ts';
import type { OwnProcess } from './process-object.ts';
import type { BackgroundSettings } from './process-settings.ts';
import { stopSignal } from './program-process.ts';

export const commandProcessSettings = defineSettings(
  {
    command: {
      type: commandLine,
      required: true,
      help: "The program and its arguments, quoted as in a shell. No shell runs it: for pipes and variables, write sh -c '...'.",
      example: 'python3 jobs.py --queue mail',
    },
    start_seconds: {
      type: seconds,
      default: 1,
      help: 'How many seconds the program must run until it counts as started: if it ends earlier, a reload keeps the old process.',
    },
    stop_signal: {
      type: stopSignal,
      default: 'SIGTERM',
      help: 'The signal that asks the program to end. What is left of its process group then gets it too.',
    },
  },
  { meaning: 'any program' },
);

type CommandSettings = SettingsOf<typeof commandProcessSettings>;

/** The factory behind `command`. */
export function commandProcess(_globalConf: Settings, settings: CommandSettings): OwnProcess {
  return new CommandProcess(settings);
}
commandProcess.settings = commandProcessSettings;
commandProcess.check = checkCommand;

const { command, stop_signal } = commandProcessSettings.declarations;

const commandTaskSettings = defineSettings({ command, stop_signal }, { meaning: 'any program' });

/** The same in a task. Its command is expected to end, so it counts as started at once. */
export function commandTask(globalConf: Settings, settings: SettingsOf<typeof commandTaskSettings>): OwnProcess {
  return commandProcess(globalConf, { ...settings, start_seconds: 0 });
}
commandTask.settings = commandTaskSettings;
commandTask.check = checkCommand;

/** @throws ConfigError if the program cannot be started */
function checkCommand(
  _globalConf: Settings,
  { command: [program = ''], cwd = '.' }: Pick<CommandSettings, 'command'> & Pick<BackgroundSettings, 'cwd'>,
): void {
  const problem = problemOf(program, cwd);
  if (problem) throw problem;
}

/** Looks for a program as the system does. Undefined: it is there, and may be executed. @param cause what the system has said */
function problemOf(program: string, cwd: string, cause?: Error): ConfigError | undefined {
  const { PATH: path } = process.env;
  // The system has a default that Node does not know.
  if (path === undefined && !program.includes('/')) return undefined;
  const directories = program.includes('/') ? [''] : (path ?? '').split(delimiter);
  const files = directories.map((directory) => resolve(cwd, directory, program)).filter(isExistingFile);
  if (files[0] === undefined) return noProgram(program, cause);
  if (files.some(isExecutable)) return undefined;
  return notStarted(program, 'it is not executable', { hint: `chmod +x ${files[0]}`, cause });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function noProgram(program: string, cause?: Error): ConfigError {
  return notStarted(program, 'there is no such program', { hint: 'name it by its path, or check PATH and cwd', cause });
}

function notStarted(program: string, reason: string, more: { hint?: string; cause?: Error | undefined }): ConfigError {
  return new ConfigError('PASTER_COMMAND', `command: cannot start ${program}: ${reason}`, {
    setting: 'command',
    ...more,
  });
}

/** The status of a shell for a command that it does not find. */
const NOT_FOUND = 127;
/** What programs in Node, Python, Go, Java and C write if another process has their port. */
const ADDRESS_IN_USE = /\bEADDRINUSE\b|\baddress (?:is )?already in use\b/i;
/** How long to read what the program has printed, after it and its process group have ended. A daemon may keep its output open. */
const OUTPUT_MS = 1000;

class CommandProcess implements OwnProcess {
  /** Called with the process group as soon as it exists. Set by the caller. */
  onGroup: (pid: number) => void = () => {};
  readonly started: Promise<void>;
  readonly #settings: CommandSettings;
  readonly #exited: Promise<void>;
  #setExited: (end: Promise<void>) => void = () => {};
  #child: ChildProcess | undefined;
  /** Whether the process group has ended; its number may then belong to another group. */
  #isGone = false;

  constructor(settings: CommandSettings) {
    this.#settings = settings;
    this.#exited = new Promise((resolve) => {
      this.#setExited = resolve;
    });
    this.#exited.catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const survived = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, settings.start_seconds * 1000);
    });
    const ended = this.#exited.then(() => {
      throw this.#failure(
        'ended with status 0 before it had started',
        'start_seconds says how long it must run; a program that ends by itself belongs in a [task:...] section',
      );
    });
    this.started = Promise.race([survived, ended]).finally(() => clearTimeout(timer));
    this.started.catch(() => {});
  }

  async run(signal: AbortSignal): Promise<void> {
    const { command, stop_signal: stop } = this.#settings;
    const [program = '', ...args] = command;
    const logger = consoleLogger();
    // Output goes through this process, which opens log files again and lets `paster control` follow it; a terminal is inherited.
    const output = logger || !process.stdout.isTTY ? 'pipe' : 'inherit';
    // A group of its own: the terminal's signals are for the supervisor, and children that the program starts end with it.
    const child = spawn(program, args, { stdio: ['ignore', output, output], detached: true });
    this.#child = child;
    if (child.pid !== undefined) this.onGroup(child.pid);
    passLines(child.stdout, (line) => (logger ? logger.report(INFO, line, {}) : process.stdout.write(`${line}\n`)));
    let isAddressInUse = false;
    passLines(child.stderr, (line) => {
      isAddressInUse ||= ADDRESS_IN_USE.test(line);
      if (logger) logger.report(ERROR, line, {});
      else process.stderr.write(`${line}\n`);
    });
    // The program alone: one that forks, such as Celery, ends its own children, and would pass the signal on to them.
    signal.addEventListener('abort', () => child.kill(stop));
    let rest = Promise.resolve();
    child.once('exit', () => {
      // A shell ends at once, and leaves behind what it was running.
      if (signal.aborted) rest = this.#endRest(stop);
      else this.#killRest();
      void rest.then(async () => {
        await sleep(OUTPUT_MS, undefined, { ref: false });
        for (const stream of [child.stdout, child.stderr]) stream?.destroy();
      });
    });
    // In case this process ends before the program does.
    process.once('exit', () => this.kill());
    const end = new Promise<void>((resolve, reject) => {
      child.once('error', (error) => reject(this.#notStarted(error)));
      child.once('close', (code, by) => {
        if (code === 0 || signal.aborted) return resolve(rest);
        const hint = code === NOT_FOUND ? 'a shell ends with this status if it does not find a program' : undefined;
        if (isAddressInUse && code !== null) reject(this.#addressInUse(code));
        else reject(this.#failure(by === null ? `ended with status ${code}` : `was ended by ${by}`, hint));
      });
    });
    this.#setExited(end);
    return end;
  }

  kill(): void {
    const { pid } = this.#child ?? {};
    if (pid !== undefined && !this.#isGone) signalGroup(pid, 'SIGKILL');
  }

  /** After the program has ended: kills the processes that it has started. */
  #killRest(): void {
    this.kill();
    this.#isGone = true;
  }

  /** The same after a stop signal: passes the signal on to the processes that are left, and waits until they end. */
  async #endRest(stop: NodeJS.Signals): Promise<void> {
    const { pid } = this.#child ?? {};
    if (pid !== undefined) {
      signalGroup(pid, stop);
      await groupEnd(pid);
    }
    this.#isGone = true;
  }

  childMemory(): number {
    return this.#child?.pid === undefined ? 0 : treeMemory(this.#child.pid);
  }

  #failure(what: string, hint?: string): RunError {
    return new RunError('PASTER_COMMAND', `command ${this.#settings.command[0]} ${what}`, { hint });
  }

  #addressInUse(status: number): RunError {
    const [program] = this.#settings.command;
    return new RunError(
      'PASTER_COMMAND_EADDRINUSE',
      `command ${program} ended with status ${status}: the address that it listens on is in use`,
    );
  }

  #notStarted(cause: Error): ConfigError {
    const [program = ''] = this.#settings.command;
    if (errorCode(cause) === 'ENOENT') return noProgram(program, cause);
    // The system says EACCES too if it may not look into a directory of PATH and the others do not have the program.
    const problem = errorCode(cause) === 'EACCES' ? problemOf(program, process.cwd(), cause) : undefined;
    return problem ?? notStarted(program, errorMessage(cause), { cause });
  }
}

function passLines(stream: Readable | null, pass: (line: string) => unknown): void {
  if (stream) createInterface(stream).on('line', pass);
}
