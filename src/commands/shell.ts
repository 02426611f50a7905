/** `paster shell`: a JavaScript prompt with the application of an INI file loaded. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { REPLServer } from 'node:repl';
import { PassThrough } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { createApp, guarded } from '../deploy/compose.ts';
import { appConfig, loadContext } from '../deploy/load.ts';
import { LoadSession } from '../deploy/session.ts';
import { EXIT_FAILURE, EXIT_OK, printable } from '../errors.ts';
import { inject } from '../gateway/inject.ts';
import { lineLogger, programLogger } from '../log.ts';
import type { App } from '../protocol/types.ts';
import { guardLoading } from '../serve/loading.ts';
import { parseAssignments } from './assignments.ts';
import { type Command, type Console, flagOption, textOption } from './command.ts';
import { markCommandRequest } from './command-request.ts';
import { DOTENV, readEnvFiles } from './env-file.ts';
import { specUri } from './spec-argument.ts';

export const shellCommand: Command = {
  name: 'shell',
  summary: 'a JavaScript prompt with the application loaded',
  args: [
    ['<config>', 'an INI file, FILE#SECTION, or a URI such as module:./server.js'],
    ['[name=value...]', 'global configuration; wins over [DEFAULT]'],
  ],
  options: [
    { flags: '-n, --app-name <name>', help: 'the application section (default: main)' },
    DOTENV,
    { flags: '-q, --quiet', help: 'no greeting' },
  ],
  examples: [
    ['paster shell etc/develop.ini', 'app, config and request() are there'],
    ['echo "(await request(\'/\')).status" | paster shell -q etc/develop.ini', 'a line from somewhere else'],
  ],
  run: shell,
};

/** What `request` takes besides the URL. */
interface RequestOptions {
  /** Default: GET, or POST if there is a body. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** A body as JSON, with its Content-Type. */
  readonly json?: unknown;
}

/** What `request` resolves to. */
interface Answer {
  readonly status: number;
  /** The values of a repeated header are joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** The body as JSON. @throws SyntaxError if it is none. */
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
  const context = await loadContext('app', specUri(spec), loading, session);
  const load = async (): Promise<App> => {
    const made = await createApp(context);
    session.tellWarnings(programLogger('warn', console.err));
    await guarded(context, () => made.ready?.());
    return made;
  };
  const app = await guardLoading(load, console.err);
  try {
    const config = await appConfig(specUri(spec), loading);
    const request = (url: string, wanted?: RequestOptions): Promise<Answer> => ask(app, url, wanted, console);
    const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
    const names = { app, config, request };
    if (!isTerminal) return (await evaluateInput(names)) ? EXIT_OK : EXIT_FAILURE;
    if (!flagOption(options, 'quiet')) console.out(greeting(spec));
    await converse(names);
  } finally {
    await guarded(context, () => app.close?.());
  }
  return EXIT_OK;
}

function greeting(spec: string): string {
  return printable(`${spec}: app, config, await request('/path', { method, headers, body, json }). Ctrl-D ends.`);
}

async function ask(app: App, url: string, wanted: RequestOptions = {}, console: Console): Promise<Answer> {
  const body = wanted.json === undefined ? wanted.body : JSON.stringify(wanted.json);
  const log = lineLogger('warn', (line) => console.err(`paster: ${line}`));
  const answer = await inject(
    app,
    {
      method: (wanted.method ?? (body === undefined ? 'GET' : 'POST')).toUpperCase(),
      url: url.startsWith('/') ? url : `/${url}`,
      headers: {
        host: 'localhost',
        'user-agent': 'paster',
        ...(wanted.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...wanted.headers,
      },
      body: body === undefined ? undefined : Buffer.from(body),
      prepare: markCommandRequest,
    },
    log,
  );
  const text = await readText(answer.body);
  const headers: Record<string, string> = {};
  for (const [name, value] of answer.headers) {
    const earlier = headers[name];
    headers[name] = earlier === undefined ? value : `${earlier}, ${value}`;
  }
  return { status: answer.statusCode, headers, text, json: () => JSON.parse(text) };
}

/** Resolves when whoever types has ended. */
async function converse(names: Readonly<Record<string, unknown>>): Promise<void> {
  const { start } = await import('node:repl');
  const repl = named(start({ prompt: 'paster> ' }), names);
  await keepHistory(repl);
  await new Promise<void>((resolve) => repl.once('exit', resolve));
}

/**
 * Evaluates what standard input holds. A prompt reads on while a line awaits something, so the lines are handed to it
 * one at a time.
 * @returns whether every line could be evaluated
 */
async function evaluateInput(names: Readonly<Record<string, unknown>>): Promise<boolean> {
  const { start } = await import('node:repl');
  const { createInterface } = await import('node:readline');
  const input = new PassThrough();
  const repl = named(start({ prompt: '', terminal: false, input, output: process.stdout }), names);
  const exited = new Promise<void>((resolve) => repl.once('exit', resolve));
  let prompted = (): void => {};
  // It prompts when it is done with a line, whether the line threw, awaited something or is to be continued.
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

function named(repl: REPLServer, names: Readonly<Record<string, unknown>>): REPLServer {
  for (const [name, value] of Object.entries(names)) {
    Object.defineProperty(repl.context, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return repl;
}

/** In the user's home, or where PASTER_HISTORY says; empty for none. A history that cannot be kept is no reason to stop. */
function keepHistory(repl: REPLServer): Promise<void> {
  const file = process.env['PASTER_HISTORY'] ?? join(homedir(), '.paster_history');
  return new Promise((resolve) => {
    repl.setupHistory(file, () => resolve());
  });
}
