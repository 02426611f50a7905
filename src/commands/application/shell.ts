/** `paster shell`: a JavaScript prompt with the application of an INI file loaded. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { REPLServer } from 'node:repl';
import { PassThrough } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { createApp, runPartCode } from '../../deploy/compose.ts';
import { appConfig, loadContext } from '../../deploy/load.ts';
import { guardLoading } from '../../deploy/loading-step.ts';
import { LoadSession } from '../../deploy/session.ts';
import { EXIT_FAILURE, EXIT_OK } from '../../errors.ts';
import { inject } from '../../gateway/inject.ts';
import { lineLogger, programLogger } from '../../log.ts';
import { printable } from '../../printable.ts';
import type { App } from '../../protocol/types.ts';
import { DOTENV, iniFileOf, parseAssignments, readEnvFiles, specUri } from '../command-line/arguments.ts';
import { type Command, type Console, flagOption, textOption } from '../command-line/command.ts';
import { markCommandRequest } from './request.ts';
import { closeApp, setUpEnvironment } from './unserved-application.ts';

export const shellCommand: Command = {
  name: 'shell',
  summary: 'open a JavaScript prompt with the application loaded',
  args: [
    ['<config>', 'an INI file, FILE#SECTION, or a URI such as module:./server.js'],
    ['[name=value...]', 'a global value; overrides [DEFAULT]'],
  ],
  options: [
    { flags: '-n, --app-name <name>', help: 'the application section (default: main)', completes: ['app'] },
    DOTENV,
    { flags: '-q, --quiet', help: 'no greeting' },
  ],
  examples: [
    ['paster shell etc/develop.ini', 'a prompt with app, config and request()'],
    ['echo "(await request(\'/\')).status" | paster shell -q etc/develop.ini', 'evaluate a line from a pipe'],
  ],
  run: shell,
};

/** The options of `request`. */
interface RequestOptions {
  /** Default: GET, or POST if there is a body. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** A body to send as JSON. */
  readonly json?: unknown;
}

/** The result of `request`. */
interface ShellResponse {
  readonly status: number;
  /** The values of a repeated header are joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** The body, parsed as JSON. @throws SyntaxError if it is not JSON */
  json(): unknown;
}

async function shell(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [spec = '', ...assignments] = args;
  readEnvFiles(options);
  const globalConf = parseAssignments(assignments);
  const loading = { globalConf, name: textOption(options, 'appName') };
  const session = new LoadSession(globalConf);
  await setUpEnvironment({ file: iniFileOf(spec), appName: loading.name }, session);
  const context = await loadContext('app', specUri(spec), loading, session);
  const load = async (): Promise<App> => {
    const made = await createApp(context);
    session.logWarnings(programLogger('warn', console.err));
    await runPartCode(context, () => made.ready?.());
    return made;
  };
  const app = await guardLoading(load, console.err);
  try {
    const config = await appConfig(specUri(spec), loading);
    const request = (url: string, options?: RequestOptions): Promise<ShellResponse> =>
      sendRequest(app, url, options, console);
    const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
    const names = { app, config, request };
    if (!isTerminal) return (await evaluateInput(names)) ? EXIT_OK : EXIT_FAILURE;
    if (!flagOption(options, 'quiet')) console.out(greeting(spec));
    await runPrompt(names);
  } finally {
    await closeApp(app, context, programLogger('warn', console.err));
  }
  return EXIT_OK;
}

function greeting(spec: string): string {
  return printable(`${spec}: app, config, await request('/path', { method, headers, body, json }). Ctrl-D ends.`);
}

async function sendRequest(
  app: App,
  url: string,
  options: RequestOptions = {},
  console: Console,
): Promise<ShellResponse> {
  const body = options.json === undefined ? options.body : JSON.stringify(options.json);
  const log = lineLogger('warn', (line) => console.err(`paster: ${line}`));
  const response = await inject(
    app,
    {
      method: (options.method ?? (body === undefined ? 'GET' : 'POST')).toUpperCase(),
      url: url.startsWith('/') ? url : `/${url}`,
      headers: {
        host: 'localhost',
        'user-agent': 'paster',
        ...(options.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      body: body === undefined ? undefined : Buffer.from(body),
      prepare: markCommandRequest,
    },
    log,
  );
  const text = await readText(response.body);
  const headers: Record<string, string> = {};
  for (const [name, value] of response.headers) {
    const earlier = headers[name];
    headers[name] = earlier === undefined ? value : `${earlier}, ${value}`;
  }
  return { status: response.statusCode, headers, text, json: () => JSON.parse(text) };
}

/** Resolves when the user ends the prompt. */
async function runPrompt(names: Readonly<Record<string, unknown>>): Promise<void> {
  const { start } = await import('node:repl');
  const repl = defineNames(start({ prompt: 'paster> ' }), names);
  await keepHistory(repl);
  await new Promise<void>((resolve) => repl.once('exit', resolve));
}

/**
 * Evaluates standard input. The prompt gets one line at a time, since otherwise it would evaluate the next one while a line
 * awaits something.
 * @returns whether every line could be evaluated
 */
async function evaluateInput(names: Readonly<Record<string, unknown>>): Promise<boolean> {
  const { start } = await import('node:repl');
  const { createInterface } = await import('node:readline');
  const input = new PassThrough();
  const repl = defineNames(start({ prompt: '', terminal: false, input, output: process.stdout }), names);
  const exited = new Promise<void>((resolve) => repl.once('exit', resolve));
  let prompted = (): void => {};
  // Called after each line, whether the line threw, awaited something or needs a continuation.
  Object.defineProperty(repl, 'displayPrompt', { value: () => prompted() });
  for await (const line of createInterface({ input: process.stdin })) {
    const done = new Promise<void>((resolve) => {
      prompted = resolve;
    });
    input.write(`${line}\n`);
    await Promise.race([done, exited]);
  }
  input.end();
  await exited;
  return repl.context['_error'] === undefined;
}

function defineNames(repl: REPLServer, names: Readonly<Record<string, unknown>>): REPLServer {
  for (const [name, value] of Object.entries(names)) {
    Object.defineProperty(repl.context, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return repl;
}

/** Keeps the history in the user's home or in PASTER_HISTORY (empty: nowhere). Works without it if the file cannot be used. */
function keepHistory(repl: REPLServer): Promise<void> {
  const file = process.env['PASTER_HISTORY'] ?? join(homedir(), '.paster_history');
  return new Promise((resolve) => {
    repl.setupHistory(file, () => resolve());
  });
}
