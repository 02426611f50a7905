/** `listen:./server.js`: a program that listens by itself, as an application. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { bool, int, path, text } from '../../config/settings/setting-types.ts';
import { RunError } from '../../errors.ts';
import { inject } from '../../gateway/inject.ts';
import { partLogger, silentLogger } from '../../log.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { argumentList } from '../background/command-line.ts';
import { asLoadingStep, currentStep, type LoadingStep } from '../loading-step.ts';
import { announceMain, runMain } from '../modules/run-main.ts';
import { takeForkedServer } from './children/forked-server.ts';
import { becomeClusterWorker } from './cluster-worker.ts';
import { isForkingServer } from './frameworks.ts';
import { hideChannel } from './hide-channel.ts';
import { ListenTakeover } from './listening/takeover.ts';
import { StopSignals } from './stop-signals.ts';

export const programSettings = defineSettings(
  {
    args: {
      type: argumentList,
      default: [],
      help: 'Arguments of the program, as in `node server.js ARGS`.',
      example: '--port 3000',
    },
    cwd: { type: path, help: 'Working directory of the program. Default: that of paster.', example: '%(here)s/..' },
    port: {
      type: int({ min: 0, max: 65535 }),
      help: 'Which server is the application, for a program that listens on several ports: the port that it asks for. Default: the first HTTP server.',
    },
    listen_others: { type: bool, default: false, help: 'Open the ports of the program’s other servers.' },
    ready: {
      type: text,
      help: 'What to wait for after the program listens: a path that responds with a status below 400, or text in a line that the program prints. Default: nothing.',
      example: '/health',
    },
  },
  { meaning: 'a program that listens by itself' },
);
type ProgramSettings = SettingsOf<typeof programSettings>;

/** The programs that this process runs, by file. A program cannot be started twice in one process. */
const started = new Map<string, Promise<App>>();

/** The factory behind `listen:FILE`. */
export function programFactory(file: string, directory: string) {
  const factory = (_globalConf: Settings, settings: ProgramSettings): Promise<App> => {
    const app = started.get(file) ?? startProgram(file, directory, settings);
    started.set(file, app);
    return app;
  };
  factory.settings = programSettings;
  const enterAhead = (settings: ProgramSettings): void => enterProgramAhead(file, settings);
  factory.enterAhead = enterAhead;
  return factory;
}

/** The start (see `startKey`) that `enterProgramAhead` has prepared. */
let preparedStart: string | undefined;
/** Set before packages are imported ahead, since it changes this process. */
let signalsAhead: StopSignals | undefined;

/** Gives this process the arguments and the directory of a program, since packages may read them when they are imported ahead. */
function enterProgramAhead(file: string, settings: ProgramSettings): void {
  preparedStart = startKey(file, settings);
  enterProgram(file, settings);
  // If this happened later, the preloader would take it for changes that the program has made.
  hideChannel();
  signalsAhead ??= new StopSignals();
  announceMain(file);
}

function enterProgram(file: string, { args, cwd }: ProgramSettings): void {
  if (cwd !== undefined) process.chdir(cwd);
  const argv = [process.execPath, file, ...args];
  if (!isDeepStrictEqual(process.argv, argv)) process.argv = argv;
}

/** The same text for the same file, arguments and directory. */
function startKey(file: string, { args, cwd }: ProgramSettings): string {
  return JSON.stringify([file, args, cwd]);
}

async function startProgram(file: string, directory: string, settings: ProgramSettings): Promise<App> {
  const { port, ready, listen_others: listenOthers, args } = settings;
  if (preparedStart !== undefined && preparedStart !== startKey(file, settings)) {
    throw new Error(`the arguments or the directory of ${file} have changed since packages were imported`);
  }
  enterProgram(file, settings);
  const warn = (message: string): void => partLogger.warn(`${file}: ${message}`);
  const takeover = new ListenTakeover({ port, listenOthers, warn });
  hideChannel();
  const signals = signalsAhead ?? new StopSignals();
  const waitForReadiness = ready === undefined ? undefined : watchReadiness(ready);
  if (FORKS_ITSELF.test(readFileSync(file, 'utf8'))) becomeClusterWorker();
  // A program may call listen() before or after its module has loaded.
  const app = isForkingServer(file, args) ? Promise.race([takeover.app, takeForkedServer()]) : takeover.app;
  const loaded = runMain(file, directory);
  const part = { what: file, location: undefined, ...currentStep() };
  const listening = {
    ...part,
    hint: () => `${takeover.noServerReason}; ${NO_SERVER}`,
    overdue: (seconds: number) => notListening(part, takeover, seconds),
  };
  const taken = await asLoadingStep(listening, () => Promise.race([app, loaded.then(() => app)]));
  if (waitForReadiness) {
    const overdue = (seconds: number) => notReady(part, ready, seconds);
    await asLoadingStep({ ...part, overdue }, () => waitForReadiness(taken));
  }
  taken.drain = async () => {
    takeover.isStopping = true;
    // Nothing else is open for longer than a request, and a program may close what requests in flight need.
    if (takeover.lasting === 0) return;
    await waitUntil(() => takeover.inflight === 0, REQUESTS_MS);
    if (await signals.begin()) await waitUntil(() => takeover.lasting === 0, CLOSE_MS);
  };
  taken.close = async () => {
    takeover.isStopping = true;
    await signals.end();
    takeover.close();
  };
  return taken;
}

const NO_SERVER = 'a program that serves nothing belongs in a [process:NAME] with use = program:FILE';
const MORE_TIME = 'start_timeout in the section of the server gives it more time';

function notListening(
  { what, location }: LoadingStep,
  { requested, noServerReason }: ListenTakeover,
  seconds: number,
): RunError {
  const options = { location, hint: `${NO_SERVER}; ${MORE_TIME}` };
  if (requested.length > 0) return new RunError('PASTER_START_TIMEOUT', `${what}: ${noServerReason}`, options);
  return new RunError(
    'PASTER_START_TIMEOUT',
    `${what}: the program has not called listen() of an HTTP server within ${seconds} s`,
    options,
  );
}

function notReady({ what, location }: LoadingStep, ready: string | undefined, seconds: number): RunError {
  const expected = ready?.startsWith('/')
    ? `${ready} responds with a status below 400`
    : `the program prints a line with ${JSON.stringify(ready)}`;
  return new RunError('PASTER_START_TIMEOUT', `${what}: the program listens, but is not ready after ${seconds} s`, {
    location,
    hint: `it is ready when ${expected}; ${MORE_TIME}`,
  });
}

/** How long open WebSockets and long polls stay open for requests in flight. */
const REQUESTS_MS = 3000;
/** How long the program may then take to close them itself, before paster does. */
const CLOSE_MS = 250;
const CHECK_MS = 20;

async function waitUntil(condition: () => boolean, limit: number): Promise<void> {
  const end = performance.now() + limit;
  while (!condition() && performance.now() < end) await sleep(CHECK_MS);
}

/** A program that uses node:cluster, in its first file, or a library that forks it. */
const FORKS_ITSELF = /['"](?:(?:node:)?cluster|throng)['"]/;

// --- `ready`: some programs listen before they are ready, and show that by a path that responds or a line that they print

const POLL_MS = 50;

/** @returns what to wait for once the program listens; output is watched from now on. */
function watchReadiness(ready: string): (app: App) => Promise<void> {
  return ready.startsWith('/') ? (app) => waitForResponse(app, ready) : waitForLine(ready);
}

async function waitForResponse(app: App, path: string): Promise<void> {
  for (;;) {
    const request = { method: 'GET', url: path, headers: { host: 'localhost' }, body: undefined };
    const { statusCode, body } = await inject(app, request, silentLogger);
    body.resume();
    if (statusCode < 400) return;
    await sleep(POLL_MS);
  }
}

function waitForLine(text: string): () => Promise<void> {
  const printed = new Promise<void>((resolve) => {
    for (const stream of [process.stdout, process.stderr]) {
      const { write } = stream;
      let line = '';
      stream.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
        line = (line + Buffer.from(chunk as Uint8Array).toString()).slice(-4096);
        if (line.includes(text)) {
          stream.write = write;
          resolve();
        }
        line = line.slice(line.lastIndexOf('\n') + 1);
        return write.call(stream, chunk, ...rest);
      }) as typeof stream.write;
    }
  });
  return () => printed;
}
