/** A factory's Standard Schema: it runs before the call, the factory gets its values, and its issues are reported at their lines. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadApp, loadFilter, loadServer } from '../../src/deploy/load.ts';
import { ErrorList, formatError, PasterError, RunError } from '../../src/errors.ts';
import type { App } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

type Answering = App & { readonly answer?: unknown };

/** A schema without a library: `port` must be a number and `name` present. Each export reports the issues in another form. */
const SCHEMA = `
export const calls = [];
const schema = (validate) => ({ '~standard': { version: 1, vendor: 'by-hand', validate } });
const check = (path) => (section) => {
  calls.push('validate');
  const issues = [];
  if (!/^\\d+$/.test(section.port)) issues.push({ message: 'a number, please', path: path('port') });
  if (section.name === '') issues.push({ message: 'not empty, please', path: path('name') });
  if (!('name' in section)) issues.push({ message: 'name is missing' });
  return issues.length ? { issues } : { value: { port: Number(section.port), name: section.name } };
};
const make = () => (globalConf, settings) => {
  calls.push('make');
  return Object.assign((req, res) => res.end(), { answer: settings });
};
export const plain = make();
plain.settings = schema(check((key) => [key]));
export const keyed = make();
keyed.settings = schema(check((key) => [{ key }]));
export const deep = make();
deep.settings = schema(check((key) => [{ key }, 0, Symbol('inner')]));
export const slow = make();
const immediately = check((key) => [key]);
slow.settings = schema(async (section) => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return immediately(section);
});
export const callable = make();
callable.settings = Object.assign(() => {}, schema(check((key) => [key])));
export const failing = make();
failing.settings = schema(() => {
  throw new Error('on purpose');
});
export const silent = make();
silent.settings = schema(() => ({ issues: [] }));
export const foreign = make();
foreign.settings = { port: 'no schema' };
export const filter = (globalConf, settings) => (app) => Object.assign(() => {}, { answer: settings });
filter.settings = plain.settings;
export const filterApp = (app, globalConf, settings) => Object.assign(() => {}, { answer: settings });
filterApp.settings = plain.settings;
export const composite = (loader, globalConf, settings) => Object.assign(() => {}, { answer: settings });
composite.settings = plain.settings;
export const server = (globalConf, settings) => ({ scheme: 'fake', settings, serve() {} });
server.settings = schema((section) =>
  section.limit === '5' ? { value: { limit: 5 } } : { issues: [{ message: 'five', path: ['limit'] }] },
);
`;

function project(ini: string): string {
  return temporaryDirectory({ 'main.ini': ini, 'parts.js': SCHEMA, 'package.json': '{"type": "module"}' });
}

const section = (factory: string, rest: string) => `[app:main]\nuse = call:./parts.js:${factory}\n${rest}`;

async function load(directory: string): Promise<unknown> {
  return ((await loadApp('config:main.ini', { relativeTo: directory })) as Answering).answer;
}

async function failure(directory: string, run: () => Promise<unknown> = () => load(directory)): Promise<string[]> {
  const error = await run().catch((thrown: unknown) => thrown);
  if (!(error instanceof PasterError)) throw error;
  return formatError(error, directory).split('\n');
}

async function calls(directory: string): Promise<string[]> {
  return (await import(join(directory, 'parts.js'))).calls;
}

describe.each(['plain', 'keyed', 'deep', 'slow', 'callable'])('%s', (factory) => {
  test('converts the settings before the call', async () => {
    const directory = project(section(factory, 'port = 8080\nname = x\n'));
    expect(await load(directory)).toEqual({ port: 8080, name: 'x' });
    expect(await calls(directory)).toEqual(['validate', 'make']);
  });

  test('reports one issue at the line of its value, and does not call the factory', async () => {
    const directory = project(section(factory, 'name = x\n# a comment\nport = many\n'));
    expect(await failure(directory)).toEqual(['main.ini:5:1: [app:main] port: a number, please']);
    expect(await calls(directory)).toEqual(['validate']);
  });

  test('reports several issues as a list of errors', async () => {
    const directory = project(section(factory, 'port = many\nname =\n'));
    await expect(load(directory)).rejects.toBeInstanceOf(ErrorList);
    expect(await failure(directory)).toEqual([
      'main.ini:3:1: [app:main] port: a number, please',
      'main.ini:4:1: [app:main] name: not empty, please',
    ]);
  });

  test('reports an issue without a path, or about a missing value, at the section', async () => {
    expect(await failure(project(section(factory, '')))).toEqual([
      'main.ini:1:1: [app:main] port: a number, please',
      'main.ini:1:1: [app:main] name is missing',
    ]);
  });
});

test('an issue is reported in the file and line where the value is written', async () => {
  const directory = temporaryDirectory({
    'main.ini': '[app:main]\nuse = config:other.ini#x\nname =\n',
    'other.ini': '[app:x]\nuse = call:./parts.js:plain\n\nport = many\n',
    'parts.js': SCHEMA,
    'package.json': '{"type": "module"}',
  });
  expect(await failure(directory)).toEqual([
    'other.ini:4:1: [app:main] port: a number, please',
    'main.ini:3:1: [app:main] name: not empty, please',
  ]);
});

test.each([
  ['filter:main', 'filter', (relativeTo: string) => loadFilter('config:main.ini', { relativeTo })],
  ['composite:main', 'composite', (relativeTo: string) => loadApp('config:main.ini', { relativeTo })],
])('issues are reported in [%s]', async (name, factory, run) => {
  const directory = project(`[${name}]\nuse = call:./parts.js:${factory}\nport = x\nname = y\n`);
  expect(await failure(directory, () => run(directory))).toEqual([`main.ini:3:1: [${name}] port: a number, please`]);
});

test('issues are reported in a filter-app', async () => {
  const ini =
    '[filter-app:main]\nuse = call:./parts.js:filterApp\nnext = x\nport = 1\nname = y\n' +
    '[app:x]\nuse = call:./parts.js:foreign\n';
  expect(await load(project(ini))).toEqual({ port: 1, name: 'y' });
  expect(await failure(project(ini.replace('= 1', '= a')))).toEqual([
    'main.ini:4:1: [filter-app:main] port: a number, please',
  ]);
});

test('the schema of [server:main] gets the settings of the server, not those of the process', async () => {
  const directory = project('[server:main]\nuse = call:./parts.js:server\nlimit = 5\nport = 0\nworkers = 2\n');
  const server = await loadServer('config:main.ini', { relativeTo: directory });
  expect(server.settings).toMatchObject({ port: 0, workers: 2 });
  const wrong = project('[server:main]\nuse = call:./parts.js:server\nport = 0\nlimit = 6\n');
  expect(await failure(wrong, () => loadServer('config:main.ini', { relativeTo: wrong }))).toEqual([
    'main.ini:4:1: [server:main] limit: five',
  ]);
});

test('a schema that throws is reported as an error of its module, at its line', async () => {
  const directory = project(section('failing', ''));
  const error = await load(directory).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RunError);
  expect((await failure(directory))[0]).toMatch(
    /^parts\.js:\d+:\d+: \[app:main\] call:\.\/parts\.js:failing failed: on purpose$/,
  );
});

test('an empty list of issues is an error too', async () => {
  expect(await failure(project(section('silent', '')))).toEqual([
    'main.ini:1:1: [app:main] the settings are not valid',
  ]);
});

test('a property `settings` that is not a schema has no effect', async () => {
  expect(await load(project(section('foreign', 'port = 1\n')))).toEqual({ port: '1' });
});
