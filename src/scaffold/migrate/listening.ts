/** Whether a program listens, by the text of its files or by its words: nothing of it is run. */
import { existsSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { frameworkOf } from '../../deploy/programs/frameworks.ts';
import { readableText } from '../../files/existing-path.ts';
import { originals, withoutComments } from '../program-port.ts';
import type { MigratedProgram } from './migrated-app.ts';

/** Commands of packages that serve HTTP. */
const SERVERS = new Set([
  'next',
  'nuxt',
  'astro',
  'vite',
  'serve',
  'http-server',
  'react-router-serve',
  'remix-serve',
  'strapi',
  'directus',
  'nest',
  'verdaccio',
  'node-red',
  'json-server',
]);

/** Not `Bun.serve()` and `Deno.serve()`, which Node does not have. */
const LISTENS =
  /(?<!\b(?:Bun|Deno)\s*\.\s*)\b(?:listen|serve|startServer|startStandaloneServer|bootstrap|lift)\s*\(|\bhttpServer\(\)\s*\.\s*start\s*\(/;
/** hapi and socket.io have no `listen()` of their own, or do not need it. */
const STARTS: readonly (readonly [dependency: string, starts: RegExp])[] = [
  ['@hapi/hapi', /\.start\s*\(/],
  [
    'socket.io',
    /(?:\bnew\s+(?:\w+\.)?Server|\brequire\s*\(\s*['"`]socket\.io['"`]\s*\))\s*\(\s*(?:\d|[+\w.(]*port\b)/i,
  ],
];
/** A server of the package `ws` that opens a port, unlike one on the server of an application. */
const OPENS_WEBSOCKET =
  /\bnew\s+(?:WebSocketServer|(?:WebSocket|ws|WS)\.(?:WebSocket)?Server)\s*\((?!\s*\{[^}]*\b(?:noServer|server)\b)/;
/** Servers that open a port and do not speak HTTP with `node:http`, by their package: paster cannot serve them. */
const OTHER_SERVERS: readonly (readonly [dependency: RegExp, opens: RegExp])[] = [
  [/^(?:@grpc\/grpc-js|grpc)$/, /\.bind(?:Async)?\s*\(/],
  [/^nice-grpc$|^uWebSockets\.js$|^hyper-express$|^(?:smtp-server|ssh2|ftp-srv|dns2)$/, /\blisten\s*\(/],
  [/^@nestjs\/core$/, /\bcreateMicroservice\s*[<(]/],
  [/^(?:node:)?(?:net|tls)$/, /\b(?:net|tls)\.(?:createServer|Server)\b|\bcreateServer\s*\(|\bnew\s+Server\s*\(/],
  [/^(?:node:)?dgram$/, /\.bind\s*\(/],
  [/^ws$/, /\bnew\s+Server\s*\(\s*\{[^}]*\bport\b/],
];
/** What speaks HTTP, besides frameworks. */
const HTTP = /^(?:node:)?https?2?$/;
/** The specifier of `require('x')`, `from 'x'`, `import 'x'`, `import('x')`. */
const IMPORT = /(?:\brequire\s*\(|\bfrom|\bimport\s*\(?)\s*(['"`])([^'"`\n]+)\1/g;
/** A module whose name is only known when the program runs. */
const COMPUTED = /\b(?:require|import)\s*\(\s*[^'"`\s)]/;
const EXTENSIONS = ['', '.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', '/index.js', '/index.ts'];
/** Enough for a program of ordinary size. */
const MAX_FILES = 200;

/**
 * @returns 'unknown' if its file is not there, such as one that has to be built, or if a package may listen for it;
 * 'websocket' if it opens a port for WebSockets alone; 'other' if it does so for another protocol than HTTP, such as gRPC
 */
export function listening({ file }: MigratedProgram): 'yes' | 'websocket' | 'other' | 'no' | 'unknown' {
  if (file === undefined) return 'no';
  const [, command] = /\/node_modules\/(?:\.bin\/|@[^/]+\/)?([^/]+)/.exec(file) ?? [];
  if (command !== undefined) return SERVERS.has(command) ? 'yes' : 'unknown';
  const first = [...originals(file), file].filter((each) => readableText(each) !== undefined);
  const files = new Set(first);
  const packages = new Set<string>();
  const texts: string[] = [];
  let isKnown = first.length > 0;
  for (const each of files) {
    const text = withoutComments(readableText(each) ?? '');
    texts.push(text);
    isKnown &&= !COMPUTED.test(text) && files.size < MAX_FILES;
    for (const [, , specifier = ''] of text.matchAll(IMPORT)) {
      const found = specifier.startsWith('.') ? localFile(each, specifier) : undefined;
      if (found !== undefined && files.size < MAX_FILES) files.add(found);
      if (!specifier.startsWith('.')) packages.add(specifier);
    }
  }
  const has = (pattern: RegExp) => texts.some((text) => pattern.test(text));
  const opensOther = OTHER_SERVERS.some(
    ([dependency, opens]) => [...packages].some((each) => dependency.test(each)) && has(opens),
  );
  const framework = frameworkOf((dependency) => packages.has(dependency));
  // A microservice of NestJS listens without HTTP.
  const isHttp =
    framework?.dependency === '@nestjs/core' ? has(/\bNestFactory\s*\.\s*create\s*[<(]/) : framework !== undefined;
  if (opensOther && !isHttp && ![...packages].some((each) => HTTP.test(each))) return 'other';
  if (has(LISTENS) || STARTS.some(([dependency, starts]) => packages.has(dependency) && has(starts))) return 'yes';
  if (opensOther) return 'other';
  if (has(OPENS_WEBSOCKET)) return 'websocket';
  return isKnown && framework === undefined ? 'no' : 'unknown';
}

function localFile(from: string, specifier: string): string | undefined {
  const path = resolve(dirname(from), specifier);
  // TypeScript names the file that it will write.
  const paths = [path, path.replace(/\.([cm]?)js$/, '.$1ts')];
  return paths
    .flatMap((each) => EXTENSIONS.map((extension) => each + extension))
    .find((each) => /\.[cm]?[jt]s$/.test(each) && readableText(each) !== undefined);
}

/** Commands that listen, and options that say where. */
const LISTENING_COMMAND =
  /(?:^|[ /])(?:gunicorn|uvicorn|hypercorn|daphne|waitress-serve|puma|unicorn|nginx|caddy|http-server)(?: |$)|\b(?:flask run|rails s|php -S|manage\.py runserver)|\s(?:--port|--bind|--listen)[ =]|\$\{?PORT\b/;

/** Whether a command of another language opens a port, by its words. */
export function opensPort(command: readonly string[]): boolean {
  return LISTENING_COMMAND.test(command.join(' '));
}

/**
 * What paster serves, if the last one of several commands is a server: otherwise the shell that runs them all.
 * @param mayServe whether it is a server if its files do not say
 */
export function servedProgram(
  program: MigratedProgram,
  mayServe: boolean,
): { readonly program: MigratedProgram; readonly notes: readonly string[] } {
  const { last, cwd } = program;
  const listens = last ? listening(last.program) : 'no';
  if (!last || ['no', 'other'].includes(listens) || (listens !== 'yes' && !mayServe)) return { program, notes: [] };
  const served = cwd === undefined ? last.program : { cwd, ...last.program };
  return {
    program: { ...served, variables: { ...program.variables, ...last.program.variables } },
    notes: [`it begins with "${last.before}": run that before paster serve starts and before each reload`],
  };
}

/** Notes for a program whose file does not exist. */
export function missingNotes({ file, command: [command = ''] = [] }: MigratedProgram, cwd: string): string[] {
  if (/(?:^|\/)node_modules\/\.bin\//.test(command) && !existsSync(resolve(cwd, command)))
    return [`there is no ${command} yet: install the packages, and run create --from again`];
  if (file === undefined || readableText(file) !== undefined) return [];
  return [`there is no ${relative(cwd, file)} yet: build it before paster starts it`];
}
