/**
 * Somebody who follows a page of the documentation: writes the files that it shows, types its commands, and wants to see
 * what it says. Packages are this repository's own node_modules; ports are free ones in place of those on the page.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryDirectory, writeFiles } from './directory.ts';
import { type Block, type Command, commandsOf } from './documentation.ts';
import { whenOver } from './lifetime.ts';
import { freePort, Program, ROOT } from './program.ts';

/** The ports that pages use. */
const PORTS = ['8080', '8081', '8900'];

/** What is typed and stays in the foreground: the page goes on in another terminal. */
const STAYS = /^nginx -c |\bpaster serve (?!.*(?: (?:start|stop|restart|status)\b|--daemon))/;

/** What may be looked at again until it is as the page says: a reload takes its time, and a line of a log. */
const LOOKS = /^(?:curl|tail|cat) /;
const TRIES = 60;

const NPX = `#!/bin/sh\n[ "$1" = paster ] || { echo "npx: only paster is here"; exit 1; }\nshift\nexec paster "$@"\n`;
const PASTER = `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'bin/paster.js')}' "$@"\n`;
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
  readonly #serving: Program[] = [];

  static async start(): Promise<Reader> {
    const ports: [string, string][] = [];
    for (const port of PORTS) ports.push([port, String(await freePort())]);
    return new Reader(new Map(ports));
  }

  private constructor(ports: ReadonlyMap<string, string>) {
    this.#ports = ports;
    this.#home = temporaryDirectory({ 'bin/paster': PASTER, 'bin/npx': NPX, 'bin/npm': NPM });
    this.#cwd = join(this.#home, 'work');
    mkdirSync(this.#cwd);
    for (const name of readdirSync(join(this.#home, 'bin'))) chmodSync(join(this.#home, 'bin', name), 0o755);
    symlinkSync(findOnPath('npm'), join(this.#home, 'bin/npm-itself'));
    linkPackages(join(this.#home, 'node_modules'));
    const path = `${join(this.#home, 'bin')}:${process.env['PATH']}:/usr/sbin`;
    this.#env = { PATH: path, SESSION_SECRET: 'x'.repeat(32), HOME: this.#home };
    whenOver(() => this.#endDaemons());
  }

  async follow(blocks: readonly Block[]): Promise<void> {
    for (const block of blocks) {
      if (block.language === 'console') {
        for (const command of commandsOf(block)) await this.#type(command);
      } else if (block.file !== undefined) {
        writeFiles(this.#cwd, { [block.file]: this.#adapted(block.text) });
      }
    }
  }

  #adapted(text: string): string {
    return text.replace(/\b\d{4}\b/g, (number) => this.#ports.get(number) ?? number);
  }

  async #type({ typed, shown }: Command): Promise<void> {
    if (typed === '^C') {
      await this.#serving.pop()?.kill('SIGINT');
      return;
    }
    const command = this.#adapted(typed);
    const wanted = shown.map((line) => this.#adapted(line));
    if (STAYS.test(command)) return this.#serve(command, wanted);
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
    const text = stdout.replaceAll('\r\n', '\n').replaceAll(this.#cwd, '/srv/shop');
    return text.replaceAll(ROOT.replace(/\/$/, ''), '/srv/shop/node_modules/paster');
  }

  /** Waits until it has said what the page shows. */
  async #serve(command: string, wanted: readonly string[]): Promise<void> {
    const program = this.#bash(`exec 2>&1\nexec ${command}`);
    this.#serving.push(program);
    await program.says(pattern(wanted));
  }

  #bash(script: string): Program {
    return new Program('/bin/bash', ['-c', script], { cwd: this.#cwd, env: this.#env });
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

function faultOf(wanted: readonly string[], stdout: string, status: number | null): string | undefined {
  if (wanted.length === 0) return status === 0 ? undefined : `ended with status ${status}:\n${stdout}`;
  if (pattern(wanted, true).test(stdout)) return undefined;
  return `should say:\n${wanted.join('\n')}\nsays:\n${stdout}`;
}

/** `...` is any text, as a line of its own any lines; 4711 is any process. */
function pattern(wanted: readonly string[], isWhole: boolean = false): RegExp {
  const lines = wanted.map((line) => {
    if (line === '...') return '(?:.*\\n)*?';
    const escaped = line.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    return `${escaped.replaceAll('\\.\\.\\.', '.*').replaceAll('4711', '\\d+')} *\\n`;
  });
  const text = lines.join('');
  return new RegExp(isWhole ? `^${text.replace(/ \*\\n$/, ' *\\n?')}$` : `^${text}`, isWhole ? '' : 'm');
}

/** A node_modules in which `paster` is this repository, and everything else what its tests run with. */
function linkPackages(directory: string): void {
  mkdirSync(directory);
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(directory, name));
  }
  symlinkSync(ROOT, join(directory, 'paster'));
}

function findOnPath(name: string): string {
  const directory = (process.env['PATH'] ?? '').split(':').find((each) => existsSync(join(each, name)));
  if (directory === undefined) throw new Error(`${name} is not on the PATH`);
  return join(directory, name);
}
