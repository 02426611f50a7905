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

/** In the order in which they are trusted; the first group is the port. */
const IN_SOURCE: readonly RegExp[] = [
  // listen(3000), listen({ port: 3000 })
  /\blisten\(\s*(?:\{[^}]*?\bport\s*:\s*)?['"`]?(\d+)\b/,
  // process.env.PORT ?? 3000, parseInt(process.env['PORT'], 10) || '3000'
  /\bPORT\b['"\]),\s\d]{0,12}(?:\|\||\?\?)\s*(?:Number\(|parseInt\()?['"`]?(\d+)\b/,
  // const { PORT = 3000 } = process.env, get('PORT', 3000)
  /\bPORT\b['"]?\s*(?::\s*\w+\s*)?[=,]\s*['"`]?(\d+)\b/,
  // serve({ fetch, port: 3000 }), const port = 3000
  /\bport\b['"]?\s*(?::\s*number\s*)?[:=]\s*['"`]?(\d+)\b/,
];

/**
 * @param program the program to look at
 * @param frameworkPort what its framework uses by default
 */
export function portOf(program: SearchedProgram, frameworkPort: number | undefined): FoundPort {
  const { directory, variables = [], args = [] } = program;
  return (
    inText(variables.join(' '), [/\bPORT=(\d+)/], program.reason) ??
    inText(args.join(' '), [/(?:^|\s)(?:-p|--port)[ =](\d+)/], program.reason) ??
    inEnvFile(directory) ??
    inSources(program) ??
    (frameworkPort === undefined
      ? { port: DEFAULT_PORT, reason: 'no port found in the program' }
      : { port: frameworkPort, reason: 'the default of the framework' })
  );
}

function inText(text: string, patterns: readonly RegExp[], reason: string): FoundPort | undefined {
  for (const pattern of patterns) {
    const port = Number(pattern.exec(text)?.[1]);
    if (port >= 1 && port <= 65535) return { port, reason };
  }
  return undefined;
}

function inEnvFile(directory: string): FoundPort | undefined {
  const file = join(directory, '.env');
  const { PORT } = parseEnv(readableText(file) ?? '');
  return inText(PORT ?? '', [/^(\d+)$/], 'PORT in .env');
}

function inSources({ directory, file }: SearchedProgram): FoundPort | undefined {
  // A package in node_modules listens where its arguments say.
  if (file === undefined || file.includes('node_modules')) return undefined;
  const path = resolve(directory, file);
  for (const source of [...originals(path), path]) {
    const text = readableText(source) ?? '';
    const found = inText(withoutComments(text), IN_SOURCE, relative(directory, source));
    if (found) return found;
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
