/** `program:./worker.js`: runs an unchanged program of Node that serves nothing. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { oneOf } from '../../config/settings/setting-types.ts';
import { ConfigError } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import { runMain } from '../modules/run-main.ts';
import { hideChannel } from '../programs/hide-channel.ts';
import { STOP_SIGNALS, StopSignals } from '../programs/stop-signals.ts';
import { argumentList } from './command-line.ts';
import type { OwnProcess } from './process-object.ts';

/** The signals that can ask a process to end. */
export const stopSignal = oneOf('SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2');

export const programProcessSettings = defineSettings(
  {
    args: {
      type: argumentList,
      default: [],
      help: 'Arguments of the program, as in `node worker.js ARGS`.',
      example: '--queue mail',
    },
    stop_signal: {
      type: stopSignal,
      help: 'The signal whose handlers in the program are called to end it. Default: the first of SIGTERM, SIGINT and SIGHUP that it handles.',
    },
  },
  { meaning: 'a program of Node that serves nothing' },
);

/** A program that waits at its top level, for instance for the next job, has started after this time. */
const LOADING_MS = 1000;

/** The factory behind `program:FILE`. */
export function programProcess(file: string, directory: string) {
  const factory = (_globalConf: Settings, settings: SettingsOf<typeof programProcessSettings>): OwnProcess => {
    factory.check();
    const { args, stop_signal: chosen } = settings;
    process.argv = [process.execPath, file, ...args];
    hideChannel();
    const signals = new StopSignals(chosen === undefined ? STOP_SIGNALS : [chosen]);
    const loaded = runMain(file, directory);
    return {
      endsWhenIdle: true,
      started: Promise.race([loaded, sleep(LOADING_MS, undefined, { ref: false })]),
      async run(signal) {
        const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        const idle = new Promise<void>((resolve) => process.once('beforeExit', () => resolve()));
        await Promise.race([stopped, loaded.then(() => Promise.race([stopped, idle]))]);
        if (!signal.aborted) return;
        // As under node: it ends when it has nothing left to do, within graceful_timeout.
        if (await signals.begin()) await signals.end(idle);
        else signals.release();
      },
    };
  };
  factory.settings = programProcessSettings;
  factory.check = () => {
    if (existsSync(file)) return;
    throw new ConfigError('PASTER_PROGRAM_MISSING', `there is no program ${file}`, { setting: 'use' });
  };
  return factory;
}
