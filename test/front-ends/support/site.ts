/** The project of an operator who followed the documentation, and what a test of a front end knows about it. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, ROOT } from '../../helpers/programs/program.ts';
import type { RunningWebServer } from '../../helpers/web-servers/web-server.ts';

/** The directory of the project in the documentation. */
const DOCUMENTED = '/srv/myapp';

export class Project {
  readonly directory: string;

  constructor() {
    this.directory = temporaryDirectory({
      'app.js': `export { makeApp } from ${JSON.stringify(join(ROOT, 'test/fixtures/apps/front-end.js'))};\n`,
    });
    for (const name of ['etc', 'var', 'bin', 'node_modules/.bin']) {
      mkdirSync(join(this.directory, name), { recursive: true });
    }
    symlinkSync(join(ROOT, 'bin/paster.js'), join(this.directory, 'node_modules/.bin/paster'));
    // The Node that runs the tests, wherever it is.
    symlinkSync(process.execPath, join(this.directory, 'node_modules/.bin/node'));
    // Apache runs as another user.
    for (const name of ['', 'var', 'bin']) chmodSync(join(this.directory, name), 0o777);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Text of the documentation, changed for this project. */
  adapt(text: string): string {
    return text.replaceAll(DOCUMENTED, this.directory);
  }

  /** An INI file with the application and this server section. @returns Its path. */
  ini(name: string, server: string): string {
    const app = `[app:main]
use = call:../app.js:makeApp
notes = ${this.path('var/notes')}
release = ${this.path('var/release')}
`;
    writeFileSync(this.path(`etc/${name}`), `${app}\n${server}\n`);
    return this.path(`etc/${name}`);
  }

  /** An executable in bin/, as the documentation shows it. */
  program(name: string, text: string): void {
    writeFileSync(this.path(`bin/${name}`), this.adapt(text), { mode: 0o755 });
  }

  /** The lines that the application has written to its notes. */
  get notes(): string[] {
    try {
      return readFileSync(this.path('var/notes'), 'utf8').trim().split('\n');
    } catch {
      return [];
    }
  }

  /** The PIDs of processes that have loaded the application, from its notes. */
  get pids(): number[] {
    const prefix = 'started ';
    return this.notes.filter((line) => line.startsWith(prefix)).map((line) => Number(line.slice(prefix.length)));
  }

  /** The PIDs of processes that still run: of `pids`, and of any other with a file of this project on its command line. */
  get running(): number[] {
    const named = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && commandLine(name).includes(this.directory))
      .map(Number);
    return [...new Set([...this.pids, ...named])].filter(isRunning);
  }

  /** Ends processes that the front end has started. Resolves when they are gone. */
  async end(): Promise<void> {
    for (const pid of this.running) process.kill(pid, 'SIGTERM');
    await eventually(() => this.running.length === 0);
  }

  /** Lets the application's event stream continue. */
  release(): void {
    writeFileSync(this.path('var/release'), '');
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

/** A zombie has ended; its parent has not collected its status yet. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** An application behind a web server. */
export interface Site {
  readonly project: Project;
  readonly server: RunningWebServer;
  /** The mount: empty, or a path without a trailing slash. */
  readonly prefix: string;
  /** The number of concurrent clients. */
  readonly clients: number;
}
