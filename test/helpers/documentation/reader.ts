/**
 * Follows a page of the documentation on its own machine: writes the files that the page shows, types its commands, and
 * compares what they print with what the page shows. Packages are this repository's own node_modules.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFiles, temporaryDirectory, writeFiles, writeScripts } from '../directory.ts';
import { MANIFEST } from '../programs/installed.ts';
import type { Program, ProgramOptions } from '../programs/program.ts';
import { type Block, type Command, commandsOf, isAnswer } from './documentation.ts';
import { CLONE, FreshMachine } from './fresh-machine.ts';

/** Where paster is installed according to the pages. */
const INSTALLED = '/srv/shop/node_modules/paster';

/** Commands that stay in the foreground, so the page continues in another terminal. */
const STAYS = /^nginx -c |(?:\bpaster serve |^\.\/\S+\.ini\b)(?!.*(?: (?:start|stop|restart|status)\b|--daemon))/;

/** Commands that are repeated until they print what the page shows, because a reload or a line of a log takes time. */
const LOOKS = /^(?:curl|tail|cat) /;
const TRIES = 60;

/** Milliseconds that a program may take until it has printed what the page shows. */
const LONGEST_SILENCE = 30_000;

const NPX = `#!/bin/sh\ncase "$1" in --package=*) shift ;; esac\n[ "$1" = paster ] || { echo "npx: only paster is here"; exit 1; }\nshift\nexec paster "$@"\n`;
const PASTER = `#!/bin/sh\nexec '${process.execPath}' ${CLONE}/bin/paster.js "$@"\n`;
/** Links instead of installing, because the packed package tests `npm install`. Copies instead of building, because `npm run test:tools` has built. */
const NPM = `#!/bin/sh
case "$1 $2" in
  install*|ci*) echo "added packages"; exit 0 ;;
  'run build') [ -e "$BUILT_BELOW" ] && rm -rf "$BUILT" && cp -a "$BUILT_BELOW" "$BUILT"; exit ;;
esac
exec npm-itself "$@"
`;

/** The packages that package.json names, or their scopes: their own dependencies are found where the links lead. */
const PACKAGES = new Set(
  Object.keys({ ...MANIFEST.dependencies, ...MANIFEST.devDependencies }).map((name) => name.replace(/\/.*/, '')),
);

/** The build of a project, in its directory. */
export interface ProductProject {
  readonly built: string | undefined;
  /** The build for a prefix. */
  readonly builtBelow: string | undefined;
}

/** The files of the project that `create` has written for the first reader. */
let created: Readonly<Record<string, string>> | undefined;

export class Reader {
  #cwd: string;
  readonly #home: string;
  readonly #machine: FreshMachine;
  readonly #env: NodeJS.ProcessEnv;
  readonly #serving: Program[] = [];

  /** @param cwd a directory of a new machine, which is created */
  static async start(cwd: string): Promise<Reader> {
    const home = temporaryDirectory();
    return new Reader(home, await FreshMachine.start(home), cwd);
  }

  private constructor(home: string, machine: FreshMachine, cwd: string) {
    this.#home = home;
    this.#machine = machine;
    this.#cwd = cwd;
    mkdirSync(machine.outside(this.#cwd), { recursive: true });
    writeScripts(join(home, 'bin'), { paster: PASTER, npx: NPX, npm: NPM });
    symlinkSync(findOnPath('npm'), join(home, 'bin/npm-itself'));
    linkPackages(machine.outside('/srv/node_modules'));
    const path = `${join(home, 'bin')}:${process.env['PATH']}:/usr/sbin`;
    this.#env = { PATH: path, SESSION_SECRET: 'x'.repeat(32), HOME: machine.home };
  }

  /** Starts with a project of `create`, which runs for the first reader; the others get the same files. */
  async createProject(): Promise<void> {
    const directory = this.#machine.outside(this.#cwd);
    if (created !== undefined) return writeFiles(directory, created);
    await this.#type({ typed: 'paster create shop -o .. --no-interactive', shown: [] });
    created = readFiles(directory);
  }

  /** Starts with the project that `put` puts into a directory. */
  putProject(put: (directory: string) => ProductProject): void {
    const { built = '', builtBelow = '' } = put(this.#machine.outside(this.#cwd));
    Object.assign(this.#env, { BUILT: built, BUILT_BELOW: builtBelow });
  }

  /** @param isTyped whether a command is typed */
  async follow(blocks: readonly Block[], isTyped: (command: string) => boolean): Promise<void> {
    try {
      for (const block of blocks) {
        if (block.language === 'console') {
          for (const command of commandsOf(block)) if (isTyped(command.typed)) await this.#type(command);
        } else if (block.file !== undefined) {
          writeFiles(this.#machine.outside(this.#cwd), { [block.file]: block.text });
        }
      }
    } finally {
      while (this.#serving.length > 0) await this.#interrupt();
    }
  }

  async #interrupt(): Promise<void> {
    const serving = this.#serving.pop();
    serving?.signalGroup('SIGINT');
    await serving?.finished();
  }

  async #type({ typed: command, shown: wanted }: Command): Promise<void> {
    if (command === '^C') return this.#interrupt();
    if (STAYS.test(command)) return this.#serve(command, wanted);
    if (wanted.some(isAnswer)) return this.#converse(command, wanted);
    const cwdFile = join(this.#home, 'cwd');
    for (let tries = 1; ; tries++) {
      const program = this.#bash(`exec 2>&1\n${command}\nstatus=$?\npwd >'${cwdFile}'\nexit $status`);
      const { status, stdout } = await program.finished();
      if (existsSync(cwdFile)) this.#cwd = readFileSync(cwdFile, 'utf8').trimEnd();
      const fault = faultOf(wanted, stdout.replaceAll('\r\n', '\n').replaceAll(CLONE, INSTALLED), status);
      if (fault === undefined) return;
      if (!LOOKS.test(command) || tries === TRIES) throw new Error(`$ ${command}\n${fault}`);
      await sleep(100);
    }
  }

  /** Waits until the program has printed what the page shows. */
  async #serve(command: string, wanted: readonly string[]): Promise<void> {
    const program = this.#bash(`exec 2>&1\nexec ${command}`, true);
    this.#serving.push(program);
    await says(program, command, wanted, pattern(wanted));
  }

  /** At a terminal: types each answer when the text above it has been printed. */
  async #converse(command: string, lines: readonly string[]): Promise<void> {
    // A terminal without a size wraps after each character.
    const script = `stty cols 100 rows 40; ${command}`;
    const program = this.#run('script', ['-qefc', script, '/dev/null'], { typing: true });
    for (const line of lines) {
      if (isAnswer(line)) program.type(`${line.slice(2)}\r`);
      else await says(program, command, [line], new RegExp(lineText(line)));
    }
    const { status, stdout } = await program.finished();
    if (status !== 0) throw new Error(`$ ${command}\nended with status ${status}:\n${stdout}`);
  }

  #bash(script: string, ownGroup: boolean = false): Program {
    return this.#run('/bin/bash', ['-c', script], { ownGroup });
  }

  #run(file: string, args: readonly string[], given: ProgramOptions): Program {
    return this.#machine.run(file, args, { cwd: this.#cwd, env: this.#env, ...given });
  }
}

/** @throws Error if a program does not print what it should. */
async function says(program: Program, command: string, wanted: readonly string[], text: RegExp): Promise<void> {
  const silent = sleep(LONGEST_SILENCE, undefined, { ref: false }).then(() => {
    throw new Error(`$ ${command}\nshould say:\n${wanted.join('\n')}\nsays:\n${program.output}`);
  });
  await Promise.race([program.says(text), silent]);
}

function faultOf(wanted: readonly string[], stdout: string, status: number | null): string | undefined {
  if (wanted.length === 0) return status === 0 ? undefined : `ended with status ${status}:\n${stdout}`;
  if (pattern(wanted, true).test(stdout)) return undefined;
  return `should say:\n${wanted.join('\n')}\nsays:\n${stdout}`;
}

/** `...` matches any text, and on its own line any lines; 4711 matches any process. */
function pattern(wanted: readonly string[], isWhole: boolean = false): RegExp {
  const lines = wanted.map((line) => {
    if (line === '...') return '(?:.*\\n)*?';
    return `${lineText(line)} *\\n`;
  });
  const text = lines.join('');
  return new RegExp(isWhole ? `^${text.replace(/ \*\\n$/, ' *\\n?')}$` : `^${text}`, isWhole ? '' : 'm');
}

function lineText(line: string): string {
  const escaped = line.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  return escaped.replaceAll('\\.\\.\\.', '.*').replaceAll('4711', '\\d+');
}

/** A node_modules in which `paster` is this repository, and every other package the one that its tests run with. */
function linkPackages(directory: string): void {
  mkdirSync(directory);
  for (const name of PACKAGES) symlinkSync(join(CLONE, 'node_modules', name), join(directory, name));
  symlinkSync(CLONE, join(directory, 'paster'));
}

function findOnPath(name: string): string {
  const directory = (process.env['PATH'] ?? '').split(':').find((each) => existsSync(join(each, name)));
  if (directory === undefined) throw new Error(`${name} is not on the PATH`);
  return join(directory, name);
}
