/** Finds the program that a line of a Procfile, an ecosystem file or a script in package.json runs, without running anything. */
import { existsSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import type { Variables } from '../../config/env-file.ts';
import { quotedWords, shellWord } from '../../deploy/background/command-line.ts';
import { readManifest, workspaceDirectories, workspacesRoot } from '../../deploy/programs/manifest.ts';
import { commandFile, packageFile, parseScript } from '../../deploy/programs/script-command.ts';
import { readableText } from '../../files/existing-path.ts';
import { type MigratedProgram, nodeProgram, otherProgram } from './migrated-app.ts';

/** Characters that have a meaning only to a shell, besides those of variables. */
const OPERATOR = /[|&;<>()`\n]/;
/** Plain commands, joined by `&&` or `;`. The second group is the last one, which is the program that keeps running. */
const CHAIN = /^([^|&;<>()`\n]+(?:(?:&&|;)[^|&;<>()`\n]+)*)(?:&&|;)([^|&;<>()`\n]+)$/;
const REDIRECTION = /\d?>>?(?:&\d|\s*[\w./-]+)/g;
/** `exec` before a program, and the assignments before it (the first group). paster starts the program itself, without a shell. */
const EXEC = /^(\s*(?:[A-Za-z_]\w*=(?:"[^"]*"|'[^']*'|[^\s"'])*\s+)*)exec\s+(?=[^-\s][^|&;<>()`\n]*$)/;
const DIRECTORY = /^\s*cd\s+([\w@./-]+)\s*&&(.*)$/;
/** The text that `packagesPath` puts in front of a script. Messages leave it out. */
export const PACKAGES_PATH = /export PATH="\$PWD[^"]*"; /;

/** The scripts that call each other down to a line, each as the directory of its package.json and its name. */
type Trail = readonly string[];

/**
 * What a line of a shell runs, such as `node worker.js --queue mail`, `next start`, `npm run worker` or `cd api && npm start`.
 * @param shell what runs a line that needs a shell
 */
export function programOfLine(written: string, cwd: string, shell: string, trail: Trail = []): MigratedProgram {
  // `env A=1 node server.js` sets variables as `A=1 node server.js` does.
  const line = written.replace(EXEC, '$1').replace(/^\s*env\s+(?=[A-Za-z_]\w*=)/, '');
  const [, directory, rest] = DIRECTORY.exec(line) ?? [];
  if (directory !== undefined && rest !== undefined) {
    const inside = resolve(cwd, directory);
    return { cwd: inside, ...programOfLine(rest, inside, shell, trail) };
  }
  const known = ofNode(line, cwd) ?? ofManager(wordsOf(line), cwd, shell, trail);
  if (known) return known;
  return chained(line, cwd, shell, '', trail) ?? plainCommand(line) ?? otherProgram([shell, '-c', executed(line)]);
}

/** Like `programOfLine`, for words that no shell splits: a script of an ecosystem file and its arguments. */
export function programOfWords(words: readonly string[], cwd: string, shell: string): MigratedProgram {
  return ofNode(words.map(shellWord).join(' '), cwd) ?? ofManager(words, cwd, shell, []) ?? otherProgram(words);
}

/** `node FILE`, also if FILE has to be built first, or the command of a package. */
function ofNode(line: string, cwd: string): MigratedProgram | undefined {
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

/** The program that `npm start`, `npm run worker -- --loud` or `npm start -w api` runs, by the script in package.json. */
function ofManager(words: readonly string[], cwd: string, shell: string, trail: Trail): MigratedProgram | undefined {
  const found = packageScript(words, cwd);
  if (found === undefined) return undefined;
  const { directory, name, assignments } = found;
  const key = `${directory} ${name}`;
  // A script that runs itself.
  if (trail.includes(key)) return undefined;
  const program = ofScript(found, shell, [...trail, key]);
  if (program === undefined) return undefined;
  const started = withVariables(program, assignments);
  return directory === cwd ? started : { cwd: directory, ...started };
}

/**
 * What a script runs, without a process of the package manager beside it.
 * @returns undefined for a script that needs a shell until its end
 */
function ofScript(found: PackageScript, shell: string, trail: Trail): MigratedProgram | undefined {
  const { hook, args, directory } = found;
  const script = found.script.replace(EXEC, '$1');
  const line = [script, ...args.map(shellWord)].join(' ');
  const prefix = packagesPath(directory);
  if (hook !== undefined) return chained(`${hook} && ${line}`, directory, shell, prefix, trail);
  const [, inside, rest] = DIRECTORY.exec(line) ?? [];
  if (inside !== undefined && rest !== undefined) return programOfLine(line, directory, shell, trail);
  const known =
    ofNode(script, directory) ?? ofManager(wordsOf(script), directory, shell, trail) ?? ofPackage(script, directory);
  return known ? withArguments(known, args) : chained(line, directory, shell, prefix, trail);
}

function withArguments(program: MigratedProgram, args: readonly string[]): MigratedProgram | undefined {
  const { file, command = [] } = program;
  if (args.length === 0) return program;
  if (file !== undefined) return { ...program, args: [...program.args, ...args] };
  // The words of a shell are not those of its command.
  return getsSignals(command) && command[1] !== '-c' ? { ...program, command: [...command, ...args] } : undefined;
}

/** The beginning of a line with which a shell finds the commands of packages, as in `npm run`. */
function packagesPath(directory: string): string {
  const places = commandDirectories(directory).map((each) => {
    const outwards = relative(directory, each);
    return `$PWD/${outwards && `${outwards}/`}node_modules/.bin`;
  });
  return `export PATH="${places.join(':')}:$PATH"; `;
}

/** A plain command, such as `ts-node src/worker.ts`: that of a package by its path. */
function ofPackage(line: string, cwd: string): MigratedProgram | undefined {
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
function chained(line: string, cwd: string, shell: string, prefix: string, trail: Trail): MigratedProgram | undefined {
  const [, before, last] = CHAIN.exec(line) ?? [];
  if (before === undefined || last === undefined) return undefined;
  const separator = line.startsWith('&&', before.length) ? ' && ' : '; ';
  const command = otherProgram([shell, '-c', `${prefix}${before.trim()}${separator}${executed(last.trim())}`]);
  return { ...command, last: { program: programOfLine(last, cwd, shell, trail), before: before.trim() } };
}

/** Has a simple command replace the shell, so that it gets the signals: `exec gunicorn app:app -b :$PORT`. */
function executed(line: string): string {
  if (OPERATOR.test(line.replace(REDIRECTION, '')) || /^(?:exec|export|set|cd)\b/.test(line)) return line;
  return ASSIGNMENT.test(line) ? `exec env ${line}` : `exec ${line}`;
}

const SHELL = /^(?:ba|da|z)?sh$/;
/** Programs that run a script as their child. */
const PACKAGE_MANAGER = /^(?:npm|npx|yarn|pnpm)$/;

/** Whether the program of a command itself gets the signal that stops it, before any other process of the command. */
function getsSignals([program = '', option, line = '']: readonly string[]): boolean {
  if (PACKAGE_MANAGER.test(program)) return false;
  return !SHELL.test(program) || option !== '-c' || /(?:^|&& |; )exec [^|&;]*$/.test(line.replace(REDIRECTION, ''));
}

/**
 * The signal with which pm2 stops a command. It sends SIGINT to the children too; a shell that gets it alone waits for its child to
 * end, so a script gets TERM, unless it becomes the program by `exec`.
 * @returns undefined for TERM
 */
export function stopSignalOf(command: readonly string[], cwd: string): string | undefined {
  if (!getsSignals(command)) return undefined;
  const [program = '', argument] = command;
  const isShell = SHELL.test(basename(program));
  if (isShell && argument === '-c') return 'SIGINT';
  const text = readableText(resolve(cwd, isShell ? (argument ?? '') : program)) ?? '';
  const isScript = isShell || /^#!.*sh\b/.test(text);
  return isScript && !/^\s*exec\s/m.test(text) ? undefined : 'SIGINT';
}

/** Plain words need no shell. */
function plainCommand(line: string): MigratedProgram | undefined {
  return /^[\w@%+=:,./ -]+$/.test(line) && !ASSIGNMENT.test(line.trim())
    ? otherProgram(line.trim().split(/\s+/))
    : undefined;
}

/** The words of a line; none if only a shell can split it. */
function wordsOf(line: string): string[] {
  if (OPERATOR.test(line) || line.includes('$')) return [];
  try {
    return quotedWords(line);
  } catch {
    return [];
  }
}

function withVariables(program: MigratedProgram, assignments: readonly string[] = []): MigratedProgram {
  const variables: Variables = Object.fromEntries(
    assignments.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]),
  );
  return { ...program, variables: { ...program.variables, ...variables } };
}

// --- the script of a package.json that a command of npm, yarn or pnpm runs, also in a workspace

interface PackageScript {
  /** The directory of its package.json, in which it runs. An absolute path. */
  readonly directory: string;
  readonly name: string;
  readonly script: string;
  /** The script that npm and yarn run before it. */
  readonly hook: string | undefined;
  readonly args: readonly string[];
  /** Variables before the command: `A=1 npm start`. */
  readonly assignments: readonly string[];
}

const ASSIGNMENT = /^[A-Za-z_]\w*=/;
/** Options that name the directory of the package. */
const IN_DIRECTORY = /^(?:--prefix|--cwd|--dir|-C)(?:=(.*))?$/;
/** Options that name a workspace: its package, or its directory. */
const IN_WORKSPACE: Readonly<Record<string, RegExp>> = {
  npm: /^(?:--workspace|-w)(?:=(.*))?$/,
  pnpm: /^(?:--filter|-F)(?:=(.*))?$/,
};

/**
 * @param words `npm run worker -- --loud`, `yarn --cwd api start`, `npm start -w api`, `pnpm --filter api start`
 * @returns undefined for words of another kind, and if there is no such script or workspace, or more than one
 */
function packageScript(words: readonly string[], cwd: string): PackageScript | undefined {
  const start = words.findIndex((word) => !ASSIGNMENT.test(word));
  const [manager = '', ...rest] = words.slice(Math.max(0, start));
  if (!/^(?:npm|pnpm|yarn)$/.test(manager)) return undefined;
  let directory = cwd;
  let name: string | undefined;
  const workspaces: string[] = [];
  const args: string[] = [];
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? '';
    const isOwn = name === undefined || manager === 'npm';
    const place = isOwn ? IN_DIRECTORY.exec(word) : null;
    const workspace = isOwn ? IN_WORKSPACE[manager]?.exec(word) : null;
    if (place) directory = resolve(cwd, place[1] ?? rest[++at] ?? '.');
    else if (workspace) workspaces.push(workspace[1] ?? rest[++at] ?? '');
    else if (name === undefined && manager === 'yarn' && word === 'workspace') workspaces.push(rest[++at] ?? '');
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
  const [workspace] = workspaces;
  const inside = workspace === undefined ? directory : workspaceDirectory(manager, workspace, directory);
  if (inside === undefined || name === undefined || workspaces.length > 1) return undefined;
  const { scripts } = readManifest(inside);
  const script = scripts[name];
  if (script === undefined) return undefined;
  const hook = manager === 'pnpm' ? undefined : scripts[`pre${name}`];
  return { directory: inside, name, script, hook, args, assignments: words.slice(0, Math.max(0, start)) };
}

/** The directories, from that of a package outwards, in whose node_modules a package manager looks for commands. */
function commandDirectories(directory: string): string[] {
  const root = workspacesRoot(directory);
  const outer = root !== undefined && root !== directory && workspaceDirectories(root).includes(directory);
  return outer ? [directory, root] : [directory];
}

/** The directory of a workspace by the name of its package or by its path; undefined if it is not exactly one. */
function workspaceDirectory(manager: string, named: string, from: string): string | undefined {
  const root = workspacesRoot(from);
  if (root === undefined) return undefined;
  const all = workspaceDirectories(root);
  const isPath = manager === 'npm' || /^\.{1,2}\//.test(named);
  const path = /^\{(.*)\}$/.exec(named)?.[1] ?? (isPath ? named : undefined);
  const place = path === undefined ? undefined : resolve(manager === 'npm' ? root : from, path);
  const exact = all.filter((each) => readManifest(each).name === named || each === place);
  // pnpm finds @shop/api by "api".
  const scoped = manager === 'pnpm' ? all.filter((each) => readManifest(each).name?.split('/')[1] === named) : [];
  const found = exact.length > 0 ? exact : scoped;
  return found.length === 1 ? found[0] : undefined;
}
