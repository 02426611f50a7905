/** Finds the port that a program listens on, by the text of its source: the program is not run. */
import { join, relative, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import type { FoundProgram } from '../deploy/programs/find-program.ts';
import { readableText } from '../files/existing-path.ts';

export interface FoundPort {
  readonly port: number;
  readonly reason: string;
}

type SearchedProgram = Pick<FoundProgram, 'directory' | 'file' | 'args' | 'variables' | 'reason'>;

const DEFAULT_PORT = 8080;

/** `listen(3000)`, `listen({ port: 3000 })`; the first group is the port. */
const LISTENS_ON = /\blisten\(\s*(?:\{[^}]*?\bport\s*:\s*)?['"`]?(\d+)\b/;
/** `serve({ fetch, port: 3000 })`, `const port = 3000` */
const NAMED_PORT = /\bport\b['"]?\s*(?::\s*number\s*)?[:=]\s*['"`]?(\d+)\b/;
/** `listen(process.env.API_PORT)`, or `listen(apiPort)`, whose name is the second group. */
const LISTENS_ON_VARIABLE =
  /\blisten\(\s*(?:\{[^}]*?\b(?=port\b)(?:port\s*:\s*)?)?(?:\+|Number\(|parseInt\()?(?:process\.env(?:\.|\[['"`])(\w+)|([A-Za-z_$][\w$]*)(?![\w$.(]))/;
/** `apiPort = Number(process.env.API_PORT)` */
const FROM_ENVIRONMENT = /\b(\w+)\s*(?::\s*\w+\s*)?=\s*(?:\+|Number\(|parseInt\()?process\.env(?:\.|\[['"`])(\w+)/g;
/** `{ API_PORT: apiPort = 3000 } = process.env` */
const DESTRUCTURED = /\{([^{}]*)\}\s*=\s*process\.env\b/g;

/** Patterns that find the default of a variable, those that are more certain first; the first group is the port. */
function defaultsOf(variable: string): RegExp[] {
  return [
    // process.env.PORT ?? 3000, parseInt(process.env['PORT'], 10) || '3000'
    new RegExp(`\\b${variable}\\b['"\\]),\\s\\d]{0,12}(?:\\|\\||\\?\\?)\\s*(?:Number\\(|parseInt\\()?['"\`]?(\\d+)\\b`),
    // const { PORT = 3000 } = process.env, get('PORT', 3000)
    new RegExp(`\\b${variable}\\b['"]?\\s*(?::\\s*\\w+\\s*)?[=,]\\s*['"\`]?(\\d+)\\b`),
  ];
}

/**
 * @param program the program to look at
 * @param frameworkPort what its framework uses by default
 */
export function portOf(program: SearchedProgram, frameworkPort: number | undefined): FoundPort {
  return (
    readPort(program) ??
    (frameworkPort === undefined
      ? { port: DEFAULT_PORT, reason: 'no port found in the program' }
      : { port: frameworkPort, reason: 'the default of the framework' })
  );
}

/** Undefined: neither the program nor its environment names one. */
export function readPort(program: SearchedProgram): FoundPort | undefined {
  const { directory, variables = [], args = [] } = program;
  return (
    inText(variables.join(' '), [/\bPORT=(\d+)/], program.reason) ??
    inText(args.join(' '), [/(?:^|\s)(?:-p|--port)[ =](\d+)/], program.reason) ??
    inEnvFile(directory) ??
    inSources(program)
  );
}

function inText(text: string, patterns: readonly RegExp[], reason: string): FoundPort | undefined {
  for (const pattern of patterns) {
    const port = Number(pattern.exec(text)?.[1]);
    if (port >= 1 && port <= 65535) return { port, reason };
  }
  return undefined;
}

function inEnvFile(directory: string, variable = 'PORT'): FoundPort | undefined {
  const value = parseEnv(readableText(join(directory, '.env')) ?? '')[variable];
  return inText(value ?? '', [/^(\d+)$/], `${variable} in .env`);
}

function inSources({ directory, file, variables = [], reason }: SearchedProgram): FoundPort | undefined {
  // A package in node_modules listens where its arguments say.
  if (file === undefined || file.includes('node_modules')) return undefined;
  const path = resolve(directory, file);
  for (const source of [...originals(path), path]) {
    const text = withoutComments(readableText(source) ?? '');
    const name = variableOf(text);
    const given = name === undefined ? '' : (variables.find((each) => each.startsWith(`${name}=`)) ?? '');
    const found =
      inText(text, [LISTENS_ON], relative(directory, source)) ??
      inText(given, [/=(\d+)$/], reason) ??
      (name === undefined ? undefined : inEnvFile(directory, name)) ??
      inText(
        text,
        [...(name === undefined ? [] : defaultsOf(name)), ...defaultsOf('PORT'), NAMED_PORT],
        relative(directory, source),
      );
    if (found) return found;
  }
  return undefined;
}

/** The variable that a program takes its port from: `API_PORT` of `listen(process.env.API_PORT)`. */
function variableOf(text: string): string | undefined {
  const [, variable, name] = LISTENS_ON_VARIABLE.exec(text) ?? [];
  if (name === undefined) return variable;
  for (const [, assigned, from] of text.matchAll(FROM_ENVIRONMENT)) if (assigned === name) return from;
  for (const [, members = ''] of text.matchAll(DESTRUCTURED)) {
    for (const member of members.split(',')) {
      const [, from, assigned = from] = /^\s*(\w+)\s*(?::\s*(\w+))?/.exec(member) ?? [];
      if (assigned === name) return from;
    }
  }
  return undefined;
}

/** What a file was built from: src/main.ts of dist/main.js. */
export function originals(path: string): string[] {
  const source = path.replace(/\/(?:build|dist|lib|out)\//, '/src/');
  if (source === path) return [];
  return [source.replace(/\.([cm]?)js$/, '.$1ts'), source];
}

export function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`\\])\/\/.*$/gm, '$1');
}
