/** What a line of a Procfile, of an ecosystem file or of a script in package.json runs. Nothing of it is run. */
import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { quotedWords } from '../../deploy/background/command-line.ts';
import { type Manifest, readManifest } from '../../deploy/programs/manifest.ts';
import { commandFile, packageFile } from '../../deploy/programs/package-commands.ts';
import { parseScript } from '../../deploy/programs/script-command.ts';
import { readableText } from '../../files/existing-path.ts';
import { nodeProgram, otherProgram, type Program, shellWord, type Variables } from './migrated-app.ts';

/** What only a shell understands, besides variables. */
const OPERATOR = /[|&;<>()`\n]/;
/** Plain commands one after the other; the last one goes on to run. */
const CHAIN = /^([^|&;<>()`\n]+(?:(?:&&|;)[^|&;<>()`\n]+)*)(?:&&|;)([^|&;<>()`\n]+)$/;
const REDIRECTION = /\d?>>?(?:&\d|\s*[\w./-]+)/g;
const DIRECTORY = /^\s*cd\s+([\w@./-]+)\s*&&(.*)$/;
const ASSIGNMENT = /^[A-Za-z_]\w*=/;
/** Finds commands of packages, as `npm run` does. */
export const PACKAGES_PATH = 'export PATH="$PWD/node_modules/.bin:$PATH"; ';

/**
 * What a line of a shell runs, such as `node worker.js --queue mail`, `next start`, `npm run worker` or `cd api && npm start`.
 * @param shell what runs a line that needs a shell
 */
export function programOfLine(line: string, cwd: string, shell: string): Program {
  const [, directory, rest] = DIRECTORY.exec(line) ?? [];
  if (directory !== undefined && rest !== undefined) {
    const inside = resolve(cwd, directory);
    return { cwd: inside, ...programOfLine(rest, inside, shell) };
  }
  const known = ofNode(line, cwd) ?? ofManager(wordsOf(line), cwd, shell);
  if (known) return known;
  return chained(line, cwd, shell, '') ?? plainCommand(line) ?? otherProgram([shell, '-c', executed(line)]);
}

/** The same for words that no shell splits: a script of an ecosystem file and its arguments. */
export function programOfWords(words: readonly string[], cwd: string, shell: string): Program {
  return ofNode(words.map(shellWord).join(' '), cwd) ?? ofManager(words, cwd, shell) ?? otherProgram(words);
}

/** `node FILE`, also if FILE has to be built first, or the command of a package. */
function ofNode(line: string, cwd: string): Program | undefined {
  const { command, file, args, nodeOptions, variables } = parseScript(line) ?? {};
  if (command === undefined || args === undefined || nodeOptions === undefined) return undefined;
  if (file === undefined) {
    const path = commandFile(cwd, command, readManifest(cwd).dependencies);
    return path === undefined ? undefined : withVariables(nodeProgram(path, args), variables);
  }
  if (command !== 'node' && command !== 'tsx') return undefined;
  return withVariables(nodeProgram(existingFile(cwd, file) ?? resolve(cwd, file), args, nodeOptions), variables);
}

/** A file as `node FILE` finds it. */
function existingFile(cwd: string, file: string): string | undefined {
  const path = resolve(cwd, file);
  return [path, ...['.js', '.mjs', '.cjs', '.ts'].map((extension) => path + extension), join(path, 'index.js')].find(
    (each) => readableText(each) !== undefined,
  );
}

/** Options of package managers that name the directory of the package. */
const IN_DIRECTORY = /^(?:--prefix|--cwd|--dir|-C)(?:=(.*))?$/;

/** `npm start`, `npm run worker -- --loud`, `yarn --cwd api start`: what the script in package.json runs. */
function ofManager(words: readonly string[], cwd: string, shell: string): Program | undefined {
  const start = words.findIndex((word) => !ASSIGNMENT.test(word));
  const [manager = '', ...rest] = words.slice(Math.max(0, start));
  if (!/^(?:npm|pnpm|yarn)$/.test(manager)) return undefined;
  let directory = cwd;
  let name: string | undefined;
  const args: string[] = [];
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? '';
    const place = name === undefined || manager === 'npm' ? IN_DIRECTORY.exec(word) : null;
    if (place) directory = resolve(cwd, place[1] ?? rest[++at] ?? '.');
    else if (word === '--') {
      args.push(...rest.slice(at + 1));
      break;
    } else if (/^(?:--silent|--quiet|--if-present|-s)$/.test(word)) continue;
    else if (name === undefined && /^run(?:-script)?$/.test(word)) continue;
    else if (name === undefined) name = word;
    // npm keeps options before "--" for itself.
    else if (manager !== 'npm' || !word.startsWith('-')) args.push(word);
    else return undefined;
  }
  const manifest = readManifest(directory);
  const script = manifest.scripts[name ?? ''];
  if (name === undefined || script === undefined) return undefined;
  const found = ofScript(script, hookOf(manifest, manager, name), args, directory, shell);
  if (found === undefined) return undefined;
  const program = withVariables(found, words.slice(0, Math.max(0, start)));
  return directory === cwd ? program : { cwd: directory, ...program };
}

/** The script that npm and yarn run before another one. */
function hookOf({ scripts }: Manifest, manager: string, name: string): string | undefined {
  return manager === 'pnpm' ? undefined : scripts[`pre${name}`];
}

/**
 * What a script runs, without the package manager, which does not pass on the signal that stops it.
 * @returns undefined for a script that needs a shell until its end
 */
function ofScript(
  script: string,
  hook: string | undefined,
  args: readonly string[],
  cwd: string,
  shell: string,
): Program | undefined {
  const line = [script, ...args.map(shellWord)].join(' ');
  if (hook !== undefined) return chained(`${hook} && ${line}`, cwd, shell, PACKAGES_PATH);
  const [, directory, rest] = DIRECTORY.exec(line) ?? [];
  if (directory !== undefined && rest !== undefined) return programOfLine(line, cwd, shell);
  const known = ofNode(script, cwd) ?? ofManager(wordsOf(script), cwd, shell) ?? ofPackage(script, cwd);
  return known ? withArguments(known, args) : chained(line, cwd, shell, PACKAGES_PATH);
}

function withArguments(program: Program, args: readonly string[]): Program | undefined {
  const { file, command = [] } = program;
  if (args.length === 0) return program;
  if (file !== undefined) return { ...program, args: [...program.args, ...args] };
  // The words of a shell are not those of its command.
  return getsSignals(command) && command[1] !== '-c' ? { ...program, command: [...command, ...args] } : undefined;
}

/** A plain command, such as `ts-node src/worker.ts`: that of a package by its path. */
function ofPackage(line: string, cwd: string): Program | undefined {
  if (parseScript(line) === undefined) return undefined;
  const all = wordsOf(line);
  const start = all.findIndex((word) => !ASSIGNMENT.test(word) && !/^(?:cross-env|npx)$/.test(word));
  const [command = '', ...args] = all.slice(start);
  const variables = all.slice(0, start).filter((word) => ASSIGNMENT.test(word));
  const file = packageFile(cwd, `.bin/${command}`);
  const isPackages = existsSync(file) || readManifest(cwd).uses(command);
  return withVariables(otherProgram([isPackages ? relative(cwd, file) : command, ...args]), variables);
}

/** Several commands: a shell runs those before the last one, and becomes the last one, which then gets the signals. */
function chained(line: string, cwd: string, shell: string, prefix: string): Program | undefined {
  const [, before, last] = CHAIN.exec(line) ?? [];
  if (before === undefined || last === undefined) return undefined;
  const separator = line.startsWith('&&', before.length) ? ' && ' : '; ';
  const command = otherProgram([shell, '-c', `${prefix}${before.trim()}${separator}${executed(last.trim())}`]);
  return { ...command, last: { program: programOfLine(last, cwd, shell), before: before.trim() } };
}

/** A simple command takes the place of the shell, so that it gets the signals: `exec gunicorn app:app -b :$PORT`. */
function executed(line: string): string {
  if (OPERATOR.test(line.replace(REDIRECTION, '')) || /^(?:exec|export|set|cd)\b/.test(line)) return line;
  return ASSIGNMENT.test(line) ? `exec env ${line}` : `exec ${line}`;
}

/** Whether the program of a command gets the signal that stops it. */
export function getsSignals([program = '', option, line = '']: readonly string[]): boolean {
  if (/^(?:npm|npx|yarn|pnpm)$/.test(program)) return false;
  return (
    !/^(?:ba|da|z)?sh$/.test(program) ||
    option !== '-c' ||
    /(?:^|&& |; )exec [^|&;]*$/.test(line.replace(REDIRECTION, ''))
  );
}

/** Plain words need no shell. */
function plainCommand(line: string): Program | undefined {
  return /^[\w@%+=:,./ -]+$/.test(line) && !ASSIGNMENT.test(line.trim())
    ? otherProgram(line.trim().split(/\s+/))
    : undefined;
}

/** None for a line that only a shell splits. */
function wordsOf(line: string): string[] {
  if (OPERATOR.test(line) || line.includes('$')) return [];
  try {
    return quotedWords(line);
  } catch {
    return [];
  }
}

function withVariables(program: Program, assignments: readonly string[] = []): Program {
  const variables: Variables = Object.fromEntries(
    assignments.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]),
  );
  return { ...program, variables: { ...program.variables, ...variables } };
}
