/** Saving a module of a NestJS application in TypeScript, beside `nest start --watch` and `tsx watch`. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../measure/program.js';
import { median, roundsOf, spread, takeTurns } from '../measure/rounds.js';
import { installed, ratioRow, saveEdits } from './edits.js';
import { inDirectory, serve } from './site.js';

const ROUNDS = roundsOf(4);
/** The largest part of the time of each other program that paster may take. */
const GOAL = 0.25;

const PACKAGES = {
  '@nestjs/cli': '12.0.8',
  '@nestjs/common': '12.5.1',
  '@nestjs/core': '12.5.1',
  '@nestjs/platform-express': '12.5.1',
  '@types/node': '20.19.43',
  'reflect-metadata': '0.2.2',
  rxjs: '7.8.2',
  tsx: '4.23.15',
  typescript: '5.9.3',
};

const APP = `import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { text } from './text.js';

@Controller()
class Front {
  @Get()
  show(): string {
    return text;
  }
}

@Module({ controllers: [Front] })
class AppModule {}

export const makeApp = () => NestFactory.create(AppModule, { logger: false });
`;

const MAIN = (port) => `import { makeApp } from './app.js';

const app = await makeApp();
await app.listen(${port}, '127.0.0.1');
`;

const INI = (port) => `[app:main]
use = call:./src/app.ts:makeApp

[server:main]
use = npm:paster#http
port = ${port}
`;

const COMPILER = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2022',
    experimentalDecorators: true,
    outDir: 'dist',
    rootDir: 'src',
    skipLibCheck: true,
  },
  include: ['src'],
};

/** @returns {Promise<import('../report/table.js').Row[]>} */
export async function reloadingNest() {
  const modules = installed('paster-bench-nest', PACKAGES);
  if (!modules) {
    return [{ what: 'NestJS in TypeScript', figure: 'npm cannot install it', goal: '', met: undefined, detail: '' }];
  }
  return inDirectory({}, async (directory) => {
    const port = await freePort();
    mkdirSync(join(directory, 'src'));
    symlinkSync(modules, join(directory, 'node_modules'));
    const files = {
      'package.json': JSON.stringify({ type: 'module' }),
      'tsconfig.json': JSON.stringify(COMPILER),
      'nest-cli.json': JSON.stringify({ sourceRoot: 'src' }),
      'src/app.ts': APP,
      'src/main.ts': MAIN(port),
      'x.ini': INI(port),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    const [nest, tsx] = ['@nestjs/cli/bin/nest.js', 'tsx/dist/cli.mjs'].map((file) => join(modules, file));
    const edit = (command) => () => saveEdits(command, port, join(directory, 'src/text.ts'));
    const found = await takeTurns(
      {
        paster: edit(serve('x.ini', '--reload')),
        'nest start --watch': edit([process.execPath, nest, 'start', '--watch']),
        'tsx watch': edit([process.execPath, tsx, 'watch', 'src/main.ts']),
      },
      ROUNDS,
    );
    const times = Object.entries(found).map(([name, rounds]) => [name, rounds.flatMap((each) => each.times)]);
    const failed = found.paster.reduce((sum, round) => sum + round.failed, 0);
    const [ours, ...others] = times.map(([name, each]) => [name, median(each)]);
    return [
      ...times.map(([name, each]) => ({
        what: `${name === 'paster' ? '' : '  '}NestJS in TypeScript, ${name}: from saving to the first new response`,
        figure: `${median(each).toFixed(0)} ms`,
        goal: '',
        met: undefined,
        detail: spread(each),
      })),
      ...others.map(([name, time]) => ratioRow(name, ours[1] / time, GOAL)),
      { what: 'the same, paster: failed requests', figure: String(failed), goal: '0', met: failed === 0, detail: '' },
    ];
  });
}
