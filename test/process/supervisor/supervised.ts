/** Shared by the tests of supervisors: the sources, built once per file, and for each test a directory with an application and a program. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { appAnswering, ask, buildSources, Program, removeTree, temporaryDirectory, until } from '../program.ts';

export class Supervised {
  build = '';
  directory = '';
  /** The module that workers serve. */
  app = '';
  program: Program | undefined;
  readonly #options: Readonly<Record<string, unknown>>;

  /** Call it at the top of a file. `options` are those of each supervisor. */
  constructor(options: Readonly<Record<string, unknown>> = {}) {
    this.#options = options;
    beforeAll(async () => {
      this.build = await buildSources();
    });
    afterAll(() => removeTree(this.build));
    beforeEach(() => {
      this.directory = temporaryDirectory();
      this.app = join(this.directory, 'app.mjs');
      writeFileSync(this.app, appAnswering('one'));
    });
    afterEach(async () => {
      await this.program?.end();
      this.program = undefined;
      removeTree(this.directory);
    });
  }

  /** Resolves to the port when the workers are ready. */
  start(options: Readonly<Record<string, unknown>> = {}): Promise<number> {
    this.program = new Program(this.build, { boot: { app: this.app }, ...this.#options, ...options });
    return this.program.ready();
  }

  get log(): string {
    return this.program?.log ?? '';
  }

  /** The processes that the supervisor has started. */
  children(): number[] {
    const parent = this.program?.child.pid;
    return readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ').map(Number);
  }

  /** The processes that respond, once there are this many. */
  async pids(port: number, count: number): Promise<Set<number>> {
    const found = new Set<number>();
    await until(async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(port, '/pid')));
      for (const pid of answers) found.add(Number(pid));
      return found.size >= count;
    });
    return found;
  }
}
