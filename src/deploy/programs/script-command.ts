/**
 * Reads a script of package.json that runs one command, such as `NODE_OPTIONS='--import ./trace.js' node server.js --x`, and finds the
 * file behind the command of an installed package.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readManifest } from './manifest.ts';

export interface ScriptCommand {
  readonly command: string;
  /** The file that `node`, `tsx` or a similar command runs; undefined for the command of a package. */
  readonly file: string | undefined;
  readonly args: readonly string[];
  /** Options of Node before the file. */
  readonly nodeOptions: readonly string[];
  /** Assignments before the command: `NODE_ENV=production`. */
  readonly variables: readonly string[];
}

/** The commands that run a file, each with its options whose value is the next word. */
const LAUNCHERS: ReadonlyMap<string, RegExp> = new Map(
  Object.entries({
    node: /^(?:-r|--require|--import|--loader|--experimental-loader|-C|--conditions|--env-file)$/,
    tsx: /^(?:-r|--require|--import|--tsconfig|--env-file|--include|--exclude)$/,
    'ts-node': /^(?:-r|--require|-P|--project|-O|--compiler-options)$/,
    'ts-node-dev': /^(?:-r|--require|-P|--project|--watch|--ignore-watch)$/,
    nodemon: /^(?:-w|--watch|-e|--ext|-i|--ignore|-d|--delay|--config|-x|--exec)$/,
    bun: /^(?:-r|--preload|--env-file)$/,
  }),
);

/** Options that are about restarts, not about the program. */
const RESTART_OPTION = /^(?:--watch\b|--respawn|--clear-screen)/;

/** A word of a script, with parts in quotes. Windows knows no single quotes, but its scripts are not read here. */
const WORD = /(?:[^\s'"\\]|\\[^\s'"]|'[^']*'|"(?:[^"\\]|\\.)*")+/y;
const PART = /'([^']*)'|"((?:[^"\\]|\\.)*)"|[^'"]+/g;
/** What a shell replaces or acts on outside of single quotes. */
const SHELL = /[&|;<>$`]/;

/** The words of a command as a shell splits it. @returns undefined if a shell would do more */
function shellWords(script: string): string[] | undefined {
  const words: string[] = [];
  const text = script.trim();
  for (let at = 0; at < text.length; ) {
    WORD.lastIndex = at;
    const [word] = WORD.exec(text) ?? [];
    if (word === undefined) return undefined;
    let isPlain = true;
    words.push(
      word.replace(PART, (part: string, single: string | undefined, double: string | undefined) => {
        if (single !== undefined) return single;
        // In double quotes, `&` and similar characters have no special meaning.
        isPlain &&= double === undefined ? !SHELL.test(part) : !/[$`]/.test(double);
        return double?.replace(/\\(["\\])/g, '$1') ?? part;
      }),
    );
    if (!isPlain) return undefined;
    at = WORD.lastIndex;
    while (/\s/.test(text[at] ?? '')) at++;
  }
  return words;
}

/** How a script that works only on Windows sets variables: `set NODE_ENV=production&& node server.js`. */
const WINDOWS_VARIABLE = /^\s*set\s+"?([A-Za-z_]\w*=[^&"]*)"?\s*&&\s*/i;

/** What to write instead of a script that works only on Windows; undefined for any other script. */
export function portableScript(script: string): string | undefined {
  const variables: string[] = [];
  let rest = script;
  for (let found = WINDOWS_VARIABLE.exec(rest); found; found = WINDOWS_VARIABLE.exec(rest)) {
    const [whole, variable = ''] = found;
    const text = variable.trim();
    variables.push(/\s/.test(text) ? text.replace(/=(.*)$/, '="$1"') : text);
    rest = rest.slice(whole.length);
  }
  return variables.length === 0 ? undefined : `cross-env ${variables.join(' ')} ${rest}`;
}

/** @returns undefined for several commands, for what only a shell understands, and for arguments with spaces */
export function parseScript(script: string): ScriptCommand | undefined {
  const words = shellWords(script);
  if (!words) return undefined;
  const start = words.findIndex((word) => !/^(?:cross-env|npx|[A-Z_a-z]\w*=[\s\S]*)$/.test(word));
  const variables = words.slice(0, start).filter((word) => word.includes('='));
  const [command, ...rest] = words.slice(start);
  if ([...variables, ...rest].some((word) => word.includes('\n')) || rest.some((word) => /\s/.test(word)))
    return undefined;
  if (start === -1 || command === undefined || !/^[\w-]+$/.test(command)) return undefined;
  const withValue = LAUNCHERS.get(command);
  if (!withValue) return { command, file: undefined, args: rest, nodeOptions: [], variables };
  const options: string[] = [];
  while (/^(?:-|watch$|run$)/.test(rest[0] ?? '')) {
    const option = rest.shift() ?? '';
    if (!option.startsWith('-')) continue;
    options.push(withValue.test(option) ? `${option} ${rest.shift() ?? ''}` : option);
  }
  const [file, ...args] = rest;
  // nodemon may start another command than node.
  if (file === undefined || options.some((option) => /^(?:-x|--exec) /.test(option))) return undefined;
  const nodeOptions = command === 'nodemon' ? [] : options.filter((option) => !RESTART_OPTION.test(option));
  return { command, file, args, nodeOptions, variables };
}

// --- the files behind the commands of installed packages, such as `strapi` or `next`

/**
 * The JavaScript file that a command of a script runs, by a path that stays when the package is upgraded: pnpm's real
 * paths contain versions.
 */
export function commandFile(directory: string, command: string, dependencies: readonly string[]): string | undefined {
  const file = declaredFile(directory, command, dependencies) ?? linkedFile(directory, command);
  if (file === undefined || !existsSync(file)) return undefined;
  const isJavaScript = /\.[cm]?js$/.test(file) || /^#!.*\bnode\b/.test(readFileSync(file, 'utf8').slice(0, 80));
  return isJavaScript ? file : undefined;
}

/** A file of a package, in the nearest node_modules that has the package. */
export function packageFile(directory: string, path: string): string {
  for (let at = directory; ; at = dirname(at)) {
    const file = join(at, 'node_modules', path);
    if (existsSync(file)) return file;
    if (at === dirname(at)) return join(directory, 'node_modules', path);
  }
}

/** The file that a dependency declares for a command. */
function declaredFile(directory: string, command: string, dependencies: readonly string[]): string | undefined {
  for (const dependency of dependencies) {
    const root = dirname(packageFile(directory, `${dependency}/package.json`));
    const { commands } = readManifest(root);
    const file = Object.hasOwn(commands, command) ? commands[command] : undefined;
    if (file !== undefined) return join(root, file);
  }
  return undefined;
}

/** The file that npm links for the command of a package that is not a direct dependency. */
function linkedFile(directory: string, command: string): string | undefined {
  const link = packageFile(directory, `.bin/${command}`);
  return existsSync(link) ? realpathSync(link) : undefined;
}
