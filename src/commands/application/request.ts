/** `paster request` and `paster post`: send one request to an application, without a server. */
import { type IncomingMessage, METHODS, validateHeaderName, validateHeaderValue } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { nearest } from '../../config/nearest.ts';
import { createApp, runPartCode } from '../../deploy/compose.ts';
import { settingsOf } from '../../deploy/context.ts';
import { loadContext } from '../../deploy/load.ts';
import { guardLoading, neverSettlesError } from '../../deploy/loading-step.ts';
import { LoadSession } from '../../deploy/session.ts';
import { EXIT_FAILURE, EXIT_OK, errorCode, errorMessage, RunError, UsageError } from '../../errors.ts';
import { type InjectedRequest, type InjectedResponse, inject } from '../../gateway/inject.ts';
import { programLogger } from '../../log.ts';
import { printable } from '../../printable.ts';
import type { Settings } from '../../protocol/types.ts';
import { DOTENV, iniFileOf, readEnvFiles, specUri } from '../command-line/arguments.ts';
import {
  type Command,
  type CommandOption,
  type Console,
  flagOption,
  listOption,
  textOption,
} from '../command-line/command.ts';
import { closeApp, setUpEnvironment } from './unserved-application.ts';

type Options = Readonly<Record<string, unknown>>;

const ARGS: Command['args'] = [
  ['<config>', 'an INI file, or a URI such as module:./server.js'],
  ['<url>', 'a path or a URL; a path without a leading slash is below /.command/'],
  ['[query...]', 'name=value, added to the query of the URL'],
];

const OPTIONS: readonly CommandOption[] = [
  { flags: '-n, --app-name <name>', help: 'the application section (default: main)', completes: ['app'] },
  { flags: '--header <name:value>', help: 'a header of the request', repeatable: true },
  { flags: '--display-headers', help: 'show the status and the headers of the response too' },
  { flags: '--config-var <name:value>', help: 'a global value; overrides [DEFAULT]', repeatable: true },
  DOTENV,
  { flags: '-v, --verbose', help: 'show stack traces and error codes' },
];

export const requestCommand: Command = {
  name: 'request',
  summary: 'send one request to an application, without a server',
  args: ARGS,
  options: [...OPTIONS, { flags: '--method <method>', help: 'the method of the request (default: GET)' }],
  examples: [
    ['paster request etc/develop.ini /', 'the application’s response, on standard output'],
    ['paster request etc/config.ini cleanup days=30', 'GET /.command/cleanup?days=30'],
    ['paster request --display-headers --header Host:example.com etc/config.ini /', 'with headers'],
  ],
  run: (args, options, console) => request(args, options, 'GET', console),
};

export const postCommand: Command = {
  name: 'post',
  summary: 'send standard input to an application, without a server',
  args: ARGS,
  options: [...OPTIONS, { flags: '--method <method>', help: 'the method of the request (default: POST)' }],
  examples: [['paster post --header Content-Type:application/json etc/develop.ini /items < item.json', 'a POST']],
  run: (args, options, console) => request(args, options, 'POST', console),
};

async function request(
  args: readonly string[],
  options: Options,
  defaultMethod: 'GET' | 'POST',
  console: Console,
): Promise<number> {
  const [spec = '', url = '', ...query] = args;
  readEnvFiles(options);
  const target = targetOf(url, query);
  const toSend: InjectedRequest = {
    method: methodOf(textOption(options, 'method') ?? defaultMethod),
    url: `${target.pathname}${target.search}`,
    headers: { host: target.host, 'user-agent': 'paster', ...headersOf(listOption(options, 'header')) },
    body: defaultMethod === 'POST' ? await readAll(process.stdin) : undefined,
  };
  const globalConf = configVars(listOption(options, 'configVar'));
  let isSent = false;
  const work = async (): Promise<number> => {
    const session = new LoadSession(globalConf);
    const appName = textOption(options, 'appName');
    await setUpEnvironment({ file: iniFileOf(spec), appName }, session);
    const context = await loadContext('app', specUri(spec), { globalConf, name: appName }, session);
    const app = await createApp(context);
    session.logWarnings(programLogger('warn', console.err));
    await runPartCode(context, () => app.ready?.());
    isSent = true;
    try {
      const log = programLogger('warn', console.err);
      const response = await inject(app, { ...toSend, prepare: markCommandRequest }, log).catch(throwIncomplete);
      if (flagOption(options, 'displayHeaders')) console.out(headText(response));
      await writeBody(response);
      return response.statusCode >= 200 && response.statusCode < 400 ? EXIT_OK : EXIT_FAILURE;
    } finally {
      await closeApp(app, context, programLogger('warn', console.err));
    }
  };
  return guardLoading(work, console.err, () => (isSent ? neverResponds() : neverSettlesError()));
}

/** The URL as in PasteScript: relative to `/.command/`, with the remaining arguments as its query. */
function targetOf(url: string, query: readonly string[]): URL {
  const base = 'http://localhost/.command/';
  const hint = 'write a path such as /page';
  if (!URL.canParse(url, base)) throw new UsageError('PASTER_USAGE', `"${url}" is not a URL`, { hint });
  const target = new URL(url, base);
  if (target.protocol !== 'http:' && target.protocol !== 'https:') {
    throw new UsageError('PASTER_USAGE', `"${url}" is not a URL of a web application`, { hint });
  }
  const parts = query.map((each) => {
    const equals = each.indexOf('=');
    if (equals === -1) return encodeURIComponent(each);
    return `${encodeURIComponent(each.slice(0, equals))}=${encodeURIComponent(each.slice(equals + 1))}`;
  });
  const given = target.search === '' ? [] : [target.search.slice(1)];
  target.search = [...given, ...parts].join('&');
  return target;
}

function methodOf(text: string): string {
  const method = text.toUpperCase();
  if (METHODS.includes(method)) return method;
  const closest = nearest(method, METHODS);
  throw new UsageError('PASTER_USAGE', `--method: there is no method "${text}"`, {
    hint:
      closest === undefined
        ? `for instance ${['GET', 'HEAD', 'PUT', 'DELETE'].join(', ')}`
        : `did you mean "${closest}"?`,
  });
}

/** A header that is given twice becomes one with both values (RFC 9110 section 5.3). */
function headersOf(given: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = Object.create(null);
  for (const each of given) {
    const [name, value] = nameAndValue('--header', each);
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch (error) {
      throw new UsageError('PASTER_USAGE', `--header: ${errorMessage(error)}`);
    }
    const key = name.toLowerCase();
    const earlier = headers[key];
    headers[key] = earlier === undefined ? value : `${earlier}${key === 'cookie' ? '; ' : ', '}${value}`;
  }
  return headers;
}

function configVars(given: readonly string[]): Settings {
  return settingsOf(...given.map((each) => settingOf(...nameAndValue('--config-var', each))));
}

function settingOf(name: string, value: string): Settings {
  const setting = settingsOf();
  setting[name] = value;
  return setting;
}

function nameAndValue(option: string, text: string): [name: string, value: string] {
  const colon = text.indexOf(':');
  if (colon > 0) return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
  throw new UsageError('PASTER_USAGE', `${option}: "${text}" is not of the form name:value`);
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function headText({ statusCode, statusMessage, headers }: InjectedResponse): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}`);
  return printable([`HTTP/1.1 ${statusCode} ${statusMessage}`.trimEnd(), ...lines, ''].join('\n'));
}

/** Writes bytes as they come, so that a stream can be watched. */
async function writeBody({ body }: InjectedResponse): Promise<void> {
  try {
    await pipeline(body, process.stdout, { end: false });
  } catch (error) {
    // The reader of the output has closed it: `paster request ... | head`.
    if (errorCode(error) !== 'EPIPE') throwIncomplete(error);
  }
}

function throwIncomplete(error: unknown): never {
  const reason = errorCode(error) === 'LIGHT_ECONNRESET' ? 'it closed the connection' : errorMessage(error);
  throw new RunError('PASTER_NO_ANSWER', `the application did not finish its response: ${reason}`, { cause: error });
}

/** The error for an application that got the request, unlike one that did not finish loading. */
function neverResponds(): RunError {
  return new RunError('PASTER_NO_ANSWER', 'the application does not respond, and has nothing left to wait for', {
    hint: 'is there a way through it that calls neither res.end() nor next()?',
  });
}

/** Lets an application tell a request of the command line from one of a client, which cannot set this. */
interface CommandRequest extends IncomingMessage {
  commandRequest?: true;
}

export function markCommandRequest(req: CommandRequest): void {
  req.commandRequest = true;
}
