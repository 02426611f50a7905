/**
 * Somebody who follows a page of the documentation: writes the files that it shows, types its commands, and wants to see
 * what it says. Packages are this repository's own node_modules; ports are free ones in place of those on the page.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryDirectory, writeFiles, writeScripts } from './directory.ts';
import { type Block, type Command, commandsOf, isAnswer } from './documentation.ts';
import { FreshMachine } from './fresh-machine.ts';
import { whenOver } from './lifetime.ts';
import { freePort, Program, type ProgramOptions, ROOT } from './program.ts';

/** The ports that pages use. */
const PORTS = ['8000', '8080', '8081', '8900'];

/** What is typed and stays in the foreground: the page goes on in another terminal. */
const STAYS = /^nginx -c |(?:\bpaster serve |^\.\/\S+\.ini\b)(?!.*(?: (?:start|stop|restart|status)\b|--daemon))/;

/** What may be looked at again until it is as the page says: a reload takes its time, and a line of a log. */
const LOOKS = /^(?:curl|tail|cat) /;
const TRIES = 60;

/** Milliseconds until a program has said what the page shows, and goes on. */
const LONGEST_SILENCE = 30_000;

const NPX = `#!/bin/sh\n[ "$1" = paster ] || { echo "npx: only paster is here"; exit 1; }\nshift\nexec paster "$@"\n`;
const paster = (root: string) => `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'bin/paster.js')}' "$@"\n`;
/** Installs by linking: that `npm install` works is tested with the packed package. */
const NPM = `#!/bin/sh
case "$1" in install|ci) echo "added packages"; exit 0;; esac
exec npm-itself "$@"
`;

export class Reader {
  #cwd: string;
  readonly #home: string;
  readonly #ports: ReadonlyMap<string, string>;
  readonly #env: NodeJS.ProcessEnv;
  readonly #machine: FreshMachine | undefined;
  readonly #serving: Program[] = [];

  /** On this machine. */
  static async start(): Promise<Reader> {
    const ports: [string, string][] = [];
    for (const port of PORTS) ports.push([port, String(await freePort())]);
    const home = temporaryDirectory();
    return new Reader(home, join(home, 'work'), new Map(ports));
  }

  /** On one of its own, as root, in /srv/shop. */
  static async onFreshMachine(): Promise<Reader> {
    const home = temporaryDirectory();
    return new Reader(home, '/srv/shop', new Map(), await FreshMachine.start(home));
  }

  private constructor(home: string, cwd: string, ports: ReadonlyMap<string, string>, machine?: FreshMachine) {
    this.#ports = ports;
    this.#home = home;
    this.#cwd = cwd;
    this.#machine = machine;
    mkdirSync(this.#outside(cwd), { recursive: true });
    const root = machine === undefined ? ROOT : '/mnt';
    writeScripts(join(home, 'bin'), { paster: paster(root), npx: NPX, npm: NPM });
    symlinkSync(findOnPath('npm'), join(home, 'bin/npm-itself'));
    linkPackages(join(machine?.outside('/srv') ?? home, 'node_modules'), root);
    const path = `${join(home, 'bin')}:${process.env['PATH']}:/usr/sbin`;
    this.#env = { PATH: path, SESSION_SECRET: 'x'.repeat(32), HOME: home };
    whenOver(() => this.#endDaemons());
  }

  /** Begins with a project, as `create` writes it. */
  async createProject(): Promise<void> {
    await this.#type({ typed: 'paster create shop -o .. --no-interactive', shown: [] });
  }

  /** @param isTyped whether a command is */
  async follow(blocks: readonly Block[], isTyped: (command: string) => boolean): Promise<void> {
    try {
      for (const block of blocks) {
        if (block.language === 'console') {
          for (const command of commandsOf(block)) if (isTyped(command.typed)) await this.#type(command);
        } else if (block.file !== undefined) {
          writeFiles(this.#outside(this.#cwd), { [block.file]: this.#adapted(block.text) });
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

  #adapted(text: string): string {
    return text.replace(/\b\d{4}\b/g, (number) => this.#ports.get(number) ?? number);
  }

  async #type({ typed, shown }: Command): Promise<void> {
    if (typed === '^C') return this.#interrupt();
    const command = this.#adapted(typed);
    const wanted = shown.map((line) => this.#adapted(line));
    if (STAYS.test(command)) return this.#serve(command, wanted);
    if (wanted.some(isAnswer)) return this.#converse(command, wanted);
    const here = join(this.#home, 'cwd');
    for (let tries = 1; ; tries++) {
      const program = this.#bash(`exec 2>&1\n${command}\nstatus=$?\npwd >'${here}'\nexit $status`);
      const { status, stdout } = await program.finished();
      if (existsSync(here)) this.#cwd = readFileSync(here, 'utf8').trimEnd();
      const fault = faultOf(wanted, this.#read(stdout), status);
      if (fault === undefined) return;
      if (!LOOKS.test(command) || tries === TRIES) throw new Error(`$ ${command}\n${fault}`);
      await sleep(100);
    }
  }

  /** What a page calls `/srv/shop` is where its reader is, with paster installed there. */
  #read(stdout: string): string {
    const text = stdout.replaceAll('\r\n', '\n');
    if (this.#machine !== undefined) return text;
    const moved = text.replaceAll(this.#cwd, '/srv/shop');
    return moved.replaceAll(ROOT.replace(/\/$/, ''), '/srv/shop/node_modules/paster');
  }

  /** Waits until it has said what the page shows. */
  async #serve(command: string, wanted: readonly string[]): Promise<void> {
    const program = this.#bash(`exec 2>&1\nexec ${command}`, true);
    this.#serving.push(program);
    await says(program, command, wanted, pattern(wanted));
  }

  /** At a terminal: gives each answer when what stands above it has been said. */
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
    const options = { cwd: this.#cwd, env: this.#env, ...given };
    return this.#machine?.run(file, args, options) ?? new Program(file, args, options);
  }

  #outside(path: string): string {
    return this.#machine?.outside(path) ?? path;
  }

  /** What the page has left in the background, by the pids that it has written down. */
  #endDaemons(): void {
    for (const file of readdirSync(this.#home, { recursive: true }).map(String)) {
      if (file.startsWith('node_modules') || !file.endsWith('.pid')) continue;
      const pid = Number(readFileSync(join(this.#home, file), 'utf8').split('\n')[0]);
      try {
        if (pid > 1) process.kill(pid, 'SIGTERM');
      } catch {
        // Gone already.
      }
    }
  }
}

/** @throws Error where a program does not say what it should. */
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

/** `...` is any text, as a line of its own any lines; 4711 is any process. */
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

/** A node_modules in which `paster` is this repository, and everything else what its tests run with. */
function linkPackages(directory: string, root: string): void {
  mkdirSync(directory);
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(directory, name));
  }
  symlinkSync(root, join(directory, 'paster'));
}

function findOnPath(name: string): string {
  const directory = (process.env['PATH'] ?? '').split(':').find((each) => existsSync(join(each, name)));
  if (directory === undefined) throw new Error(`${name} is not on the PATH`);
  return join(directory, name);
}
