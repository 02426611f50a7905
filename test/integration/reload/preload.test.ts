/** `paster serve --reload` imports packages before a file changes: the application sees the same as after a cold start. */

import { describe, expect, test } from 'vitest';
import { eventually, serve } from '../../helpers/programs/program.ts';
import { coldProcessResponse, coldResponse } from './cold-response.ts';
import { app, DEFERRED, project, save, spareIsReady, write } from './preload-project.ts';

interface Case {
  readonly name: string;
  readonly versions: readonly (readonly [imports: readonly string[], values?: readonly string[]])[];
}

const CASES: readonly Case[] = [
  {
    name: 'an own module sets a variable before a package reads it',
    versions: [
      [['plain', './setup.js', '{ mode } from "reads-env"', 'other'], ['mode']],
      [['plain', '{ mode } from "reads-env"', './setup.js'], ['mode']],
      [['./setup.js', '{ mode } from "reads-env"'], ['mode']],
      [['./setup.js', '{ listed } from "lists-env"'], ['listed']],
    ],
  },
  {
    name: 'an own module sets a global before a package reads it',
    versions: [
      [['plain', './global.js', '{ seen } from "reads-global"', 'other'], ['seen']],
      [['{ seen } from "reads-global"', './global.js'], ['seen']],
    ],
  },
  {
    name: 'packages change the process before and after own modules',
    versions: [
      [
        ['adds-global', 'sets-env', 'patches-http', 'extends-array', '{ looked } from "./look.js"', 'plain'],
        ['looked'],
      ],
      [
        ['{ looked } from "./look.js"', 'adds-global', 'sets-env', '{ seen } from "reads-global"'],
        ['looked', 'seen'],
      ],
      [
        ['sets-env', '{ looked } from "./look.js"', '{ mode } from "reads-env"'],
        ['looked', 'mode'],
      ],
      [
        ['{ looked } from "./look.js"', '{ mode } from "reads-env"', 'plain'],
        ['looked', 'mode'],
      ],
    ],
  },
  {
    name: 'an own module that imports a package is no longer imported',
    versions: [
      [['{ looked } from "./look.js"', 'log', 'plain', './pull.js'], ['looked']],
      [['{ looked } from "./look.js"', 'log', 'plain'], ['looked']],
    ],
  },
  {
    name: 'a package keeps the environment variables and sets one later',
    versions: [[['plain', './look.js', '{ keep } from "keeps-env"'], ['keep("/home")']]],
  },
  {
    name: 'packages leave listeners and timers',
    versions: [[['listens', 'ticks', 'plain']], [['plain', 'ticks']]],
  },
  {
    name: 'packages are not ready when they are imported',
    versions: Object.keys(DEFERRED).map((name) => [['plain', `{ ready } from "./${name}.js"`], ['ready']]),
  },
  {
    name: 'packages wait while they are imported, and others are evaluated in the meantime',
    versions: ['import', 'file', 'timer'].map((name) => [['plain', `awaits-${name}`, 'other']]),
  },
  {
    name: 'packages cannot be imported by themselves',
    versions: [
      [['./global.js', 'needs-setup', 'plain']],
      [['./setup.js', 'exits', 'plain']],
      [['./setup.js', 'plain', './global.js', 'needs-setup']],
    ],
  },
];

describe('the application sees the same as after a cold start', () => {
  test.each(CASES.map((each) => [each.name, each] as const))(
    '%s',
    { timeout: 180_000 },
    async (_name, { versions }) => {
      const directory = project();
      let version = 0;
      const [[imports, values] = [[]]] = versions;
      write(directory, { 'app.js': app(version, imports, values) });
      const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
      expect(
        await eventually(async () => (await fetch(program.url, { headers: { connection: 'close' } })).text()),
      ).toBe(await coldResponse(directory));
      for (const [imports, values] of versions) {
        // The first edit changes what is imported. A later one may show that a package has to be left out; the next spare worker is used.
        for (let edit = 1, isUsed = false; edit <= 2 || !isUsed; edit++) {
          const spare = await spareIsReady(program);
          const body = await save(program, directory, app(++version, imports, values));
          expect(body).toBe(await coldResponse(directory));
          isUsed = program.stderr.includes(`worker ${spare} is ready`);
        }
      }
    },
  );

  test('the import of a package waits for something that the application does', async () => {
    const directory = project();
    const text = (version: number) => app(version, ['plain', './setup.js', 'waits']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    // Once in the worker and once in the spare worker, in which no code sets the variable.
    await eventually(() => program.output.match(/waits begins/g)?.length === 2);
    expect(await save(program, directory, text(1))).toBe(await coldResponse(directory));
    const reason = 'it waits for something when it is imported';
    await program.says(new RegExp(`waits is not imported ahead, nor is what comes after it: ${reason}`));
    await spareIsReady(program);
    expect(await save(program, directory, text(2))).toBe(await coldResponse(directory));
    // A worker that paster itself ends has not died.
    expect(program.output).not.toMatch(/SIGKILL|a worker ended/);
  });

  test('a save while the spare worker imports a package', async () => {
    const directory = project();
    write(directory, {
      'node_modules/order/index.js': 'exports.order = [];',
      'node_modules/first/index.js': "require('order').order.push('first');",
      'node_modules/slow/index.js': `require('order').order.push('slow');
require('node:fs').writeSync(2, 'slow begins\\n');
for (const end = Date.now() + 300; Date.now() < end; );
require('./part.js');`,
      'node_modules/slow/part.js': "require('order').order.push('part');",
    });
    const text = (version: number) => app(version, ['first', 'slow', '{ order } from "order"'], ['order']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await eventually(() => program.output.match(/slow begins/g)?.length === 2);
    expect(await save(program, directory, text(1))).toBe(await coldResponse(directory));
    await spareIsReady(program);
    expect(await save(program, directory, text(2))).toBe(await coldResponse(directory));
  });

  test('a package reads a file of the project, which then changes', async () => {
    const directory = project();
    const text = (version: number) => app(version, ['{ text } from "reads-file"', 'plain'], ['text']);
    write(directory, { 'app.js': text(0) });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    for (let version = 1; version <= 3; version++) {
      await spareIsReady(program);
      write(directory, { 'settings.json': String(version) });
      expect(await save(program, directory, text(version))).toBe(coldProcessResponse(directory));
    }
    expect(program.output.match(/spare worker \d+ is not used: .*settings\.json has changed/g)?.length).toBeGreaterThan(
      2,
    );
  });

  test('a package reads a file of its own that is not a module, which then changes', async () => {
    const directory = project();
    const data = 'node_modules/reads-data/data.txt';
    const text = (version: number) => app(version, ['./look.js', '{ text } from "reads-data"', 'plain'], ['text']);
    write(directory, { 'app.js': text(0), [data]: '0' });
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
    await spareIsReady(program);
    expect(await save(program, directory, text(1))).toBe(await coldResponse(directory));
    expect(program.output).not.toContain('is not used');
    await spareIsReady(program);
    write(directory, { [data]: '1' });
    expect(await save(program, directory, text(2))).toBe(await coldResponse(directory));
    expect(program.output).toMatch(/spare worker \d+ is not used: .*data\.txt has changed/);
  });
});
