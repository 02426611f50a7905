/** Where the loader differs from Paste on purpose, and features that Paste does not have. */
import { cpSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { appConfig, loadApp, loadContext } from '../../src/deploy/load.ts';
import { placeOfError } from '../../src/deploy/modules/error-place.ts';
import { LoadSession } from '../../src/deploy/session.ts';
import type { ConfigError } from '../../src/errors.ts';
import type { App, Settings } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { ROOT } from '../helpers/programs/program.ts';

interface Report {
  readonly global: Settings;
  readonly local: Settings;
  readonly inner?: Report;
}

function project(ini: string, others: Readonly<Record<string, string>> = {}): string {
  const directory = temporaryDirectory({ 'main.ini': ini, ...others });
  cpSync(join(ROOT, 'test/fixtures/deploy/node_modules'), join(directory, 'node_modules'), { recursive: true });
  return directory;
}

async function report(relativeTo: string, globalConf?: Settings): Promise<Report> {
  const app = await loadApp('config:main.ini', globalConf ? { relativeTo, globalConf } : { relativeTo });
  return (app as App & { report: Report }).report;
}

async function failure(relativeTo: string, uri = 'config:main.ini'): Promise<ConfigError> {
  return loadApp(uri, { relativeTo }).then(
    () => expect.unreachable('it loads'),
    (error) => error,
  );
}

describe('the caller’s globals', () => {
  test('override [DEFAULT], in interpolation too, in every file, and are not interpolated', async () => {
    const directory = project('[DEFAULT]\nx = file\n[app:main]\nuse = config:other.ini\na = %(x)s', {
      'other.ini': '[DEFAULT]\nx = other\n[app:main]\nuse = egg:FakeApp\nb = %(x)s',
    });
    expect(await report(directory, { x: '%(here)s' })).toMatchObject({
      global: { x: '%(here)s' },
      local: { a: '%(here)s', b: '%(here)s' },
    });
  });

  test('do not override here and __file__', async () => {
    const directory = project('[app:main]\nuse = egg:FakeApp\na = %(here)s\nb = %(__file__)s');
    expect((await report(directory, { here: '/elsewhere', __file__: '/x' })).local).toEqual({
      a: directory,
      b: join(directory, 'main.ini'),
    });
  });
});

describe('filter-with', () => {
  const FILTER = '[filter:f]\nuse = egg:FakeApp#caps\nname = f\n';

  test('works on a pipeline', async () => {
    const ini = `[pipeline:main]\npipeline = g x\nfilter-with = f\n[filter:g]\nuse = egg:FakeApp\nname = g\n[app:x]\nuse = egg:FakeApp\n${FILTER}`;
    const made = await report(project(ini));
    expect(made.local['name']).toBe('f');
    expect(made.inner?.local['name']).toBe('g');
    expect(made.inner?.inner).toMatchObject({ app: 'main' });
  });

  test('works on a filter-app', async () => {
    const ini = `[filter-app:main]\nuse = egg:FakeApp#around\nname = a\nnext = x\nfilter-with = f\n[app:x]\nuse = egg:FakeApp\n${FILTER}`;
    const made = await report(project(ini));
    expect([made.local['name'], made.inner?.local['name']]).toEqual(['f', 'a']);
  });

  test('works on an application that has a filter already, and keeps the keys of the section', async () => {
    const ini = `[app:main]\nuse = x\nkey = main\nfilter-with = g\n[app:x]\nuse = egg:FakeApp\nfilter-with = f\n[filter:g]\nuse = egg:FakeApp\nname = g\n${FILTER}`;
    const made = await report(project(ini));
    expect([made.local['name'], made.inner?.local['name']]).toEqual(['g', 'f']);
    expect(made.inner?.inner).toMatchObject({ app: 'main', local: { key: 'main' } });
  });
});

describe('a composite that another file uses', () => {
  const OTHER = {
    'other.ini':
      '[composite:main]\nuse = egg:FakeApp#compo\napp1 = shared\napp2 = own\n[app:shared]\nuse = egg:FakeApp\nin = other\n[app:own]\nuse = egg:FakeApp\nin = other',
  };

  async function parts(
    ini: string,
    others: Readonly<Record<string, string>> = OTHER,
  ): Promise<Record<string, unknown>> {
    const made = (await report(project(ini, others))) as unknown as { parts: Record<string, Report> };
    return Object.fromEntries(Object.entries(made.parts).map(([key, { local }]) => [key, local['in']]));
  }

  test('finds names in the using file first, then in its own', async () => {
    const ini = '[app:main]\nuse = config:other.ini\n[app:shared]\nuse = egg:FakeApp\nin = main';
    expect(await parts(ini)).toEqual({ app1: 'main', app2: 'other' });
  });

  test('finds them through a chain of files and sections', async () => {
    const ini = '[app:main]\nuse = middle\n[app:middle]\nuse = config:between.ini';
    const between = '[app:main]\nuse = config:other.ini\n[app:shared]\nuse = egg:FakeApp\nin = between';
    expect(await parts(ini, { ...OTHER, 'between.ini': between })).toEqual({ app1: 'between', app2: 'other' });
  });

  test('names both files if neither has the section', async () => {
    const directory = project('[app:main]\nuse = config:other.ini', {
      'other.ini': '[composite:main]\nuse = egg:FakeApp#compo\napp1 = ownn\n[app:own]\nuse = egg:FakeApp',
    });
    const error = await failure(directory);
    expect(error).toMatchObject({ location: { file: join(directory, 'other.ini'), line: 3 } });
    expect(error.message).toBe(
      `there is no section [app:ownn] in ${join(directory, 'main.ini')} or ${join(directory, 'other.ini')}`,
    );
    expect(error.hint).toBe('did you mean [app:own]?');
  });
});

describe('sections and URIs', () => {
  test('[app] is used if there is no [app:main]', async () => {
    const bare = project('[app]\nuse = egg:FakeApp\na = bare');
    expect((await report(bare)).local['a']).toBe('bare');
    const both = project('[app]\nuse = egg:FakeApp\na = bare\n[app:main]\nuse = egg:FakeApp\na = main');
    expect((await report(both)).local['a']).toBe('main');
  });

  test('the sections of a file are collected once, however many sections refer to others', async () => {
    const directory = project(
      Array.from({ length: 20 }, (_, index) => `[app:a${index}]\nuse = egg:FakeApp\n`).join(''),
    );
    const session = new LoadSession();
    const { sections } = await session.read(join(directory, 'main.ini'));
    const lookedThrough = vi.spyOn(sections, 'values');
    const load = (name: string) => loadContext('app', `config:main.ini#${name}`, { relativeTo: directory }, session);
    await load('a0');
    const atFirst = lookedThrough.mock.calls.length;
    expect(atFirst).toBeGreaterThan(0);
    for (const name of sections.keys()) await load(name.slice('app:'.length));
    expect(lookedThrough.mock.calls.length).toBe(atFirst);
  });

  test('call works in a filter-app and in filter-with', async () => {
    const module = './node_modules/FakeApp/parts.js';
    const ini = `[filter-app:main]\nuse = call:${module}:make_filter_app\na = 1\nnext = x\nfilter-with = call:${module}:make_filter\n[app:x]\nuse = egg:FakeApp`;
    expect(await report(project(ini))).toMatchObject({
      filter: 'filter',
      inner: { filter: 'filter_app', local: { a: '1' }, inner: { app: 'main' } },
    });
  });

  test('call finds members of objects', async () => {
    const ini = '[app:main]\nuse = call:./node_modules/FakeApp/parts.js:nested.deep.make_app\na = 1';
    expect(await report(project(ini))).toMatchObject({ app: 'nested', local: { a: '1' } });
  });

  test('a cycle is an error that names its members', async () => {
    const error = await failure(project('[app:main]\nuse = a\n[app:a]\nuse = main'));
    expect(error.code).toBe('PASTER_CYCLE');
    expect(error.message).toContain('[app:main] -> [app:a] -> [app:main]');
  });

  test.each(['FakeApp', 'fakeapp', 'FakeApp>=1.0', 'Paste', 'PasteDeploy==3.1'])('require = %s holds', async (name) => {
    const directory = project(`[app:main]\nuse = egg:FakeApp\nrequire = ${name}\na = 1`);
    expect((await report(directory)).local).toEqual({ a: '1' });
  });

  test.each([
    ['[sevrer:main]', '[server:main]'],
    ['[App:main]', '[app:main]'],
  ])('a section %s is an error, not ignored', async (wrong, right) => {
    const error = await failure(project(`[app:main]\nuse = egg:FakeApp\n${wrong}\nuse = x`));
    expect(error).toMatchObject({ hint: `rename ${wrong} to ${right}`, location: { line: 3, column: 1 } });
  });

  test('sections of other programs are ignored', async () => {
    const others = '[tool:pytest]\na = 1\n[alembic]\n[program:web]\n[logger_x]\n';
    expect((await report(project(`[app:main]\nuse = egg:FakeApp\na = 1\n${others}`))).local).toEqual({ a: '1' });
  });

  test('a chain that is too long is an error, not a crash', async () => {
    const chain = Array.from({ length: 1000 }, (_, index) => `[app:a${index}]\nuse = a${index + 1}`);
    const error = await failure(project(`[app:main]\nuse = a0\n${chain.join('\n')}`));
    expect(error.code).toBe('PASTER_TOO_DEEP');
  });

  test('a local key that is also a global gets a warning', async () => {
    const directory = project('[DEFAULT]\na = 1\n[app:main]\nuse = egg:FakeApp\na = 2');
    const session = new LoadSession();
    await loadContext('app', 'config:main.ini', { relativeTo: directory }, session);
    expect(session.warnings).toMatchObject([{ location: { line: 5, column: 1 } }]);
    expect(session.warnings[0]?.message).toContain('set a = ...');
  });

  test.each([
    ['nothing', /^of Paste it has: http, static, cgi, urlmap, /],
    ['urlmp', /^did you mean "urlmap"\?$/],
  ])('egg:Paste#%s is an error that lists the names, or a similar one', async (name, hint) => {
    const error = await failure(project(`[app:main]\nuse = egg:Paste#${name}`));
    expect(error.message).toContain(`egg:Paste#${name}`);
    expect(error.hint).toMatch(hint);
  });

  test.each([
    ['module:./app.js', 'export default (req, res) => res.end();'],
    ['module:./app.cjs', 'module.exports = (req, res) => res.end();'],
    ['module:./app.js#named', 'export const named = (req, res) => res.end();'],
    ['module:./app.cjs#named', 'exports.named = (req, res) => res.end();'],
    ['module:./app.cjs', 'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = () => {};'],
  ])('%s finds what %s exports', async (uri, source) => {
    const name = uri.includes('.cjs') ? 'app.cjs' : 'app.js';
    const directory = project(`[app:main]\nuse = ${uri}`, { [name]: source, 'package.json': '{"type": "module"}' });
    expect(await loadApp('config:main.ini', { relativeTo: directory })).toBeTypeOf('function');
  });

  test('a package is found from the directory of the INI file, also through links and as the project itself', async () => {
    const directory = project('', {
      'package.json': '{"name": "me", "type": "module", "paster": {"paste.app_factory": {"main": "./own.js:make"}}}',
      'own.js':
        'export const make = (globalConf, localConf) => Object.assign(() => {}, { report: { local: localConf } });',
      'etc/main.ini': '[app:main]\nuse = npm:me\na = own',
    });
    const app = (await loadApp('config:etc/main.ini', { relativeTo: directory })) as App & { report: Report };
    expect(app.report.local).toEqual({ a: 'own' });
  });

  test('connect: converts texts to options', async () => {
    const values = {
      flag: ['true', true],
      number: ['1.5', 1.5],
      exponent: ['-1e3', -1000],
      text: ['1a', '1a'],
      octal: ['0644', '0644'],
      largest: ['9007199254740991', 9007199254740991],
      account: ['9007199254740993', '9007199254740993'],
      infinite: ['1e999', '1e999'],
      list: ['[1, "b", "9007199254740993"]', [1, 'b', '9007199254740993']],
      object: ['{"a": {"b": null}}', { a: { b: null } }],
    } as const;
    const lines = Object.entries(values).map(([key, [text]]) => `${key} = ${text}\n`);
    const app = await loadApp('config:main.ini', { relativeTo: connected(lines.join('')) });
    await app({} as never, {} as never);
    const expected = Object.fromEntries(Object.entries(values).map(([key, [, value]]) => [key, value]));
    expect((globalThis as { seenOptions?: unknown }).seenOptions).toEqual(expected);
  });

  test('connect: a number that JavaScript cannot represent is an error if it cannot stay a text', async () => {
    expect(await failure(connected('a = 1\nlist = ["12345678901234567890",\n  12345678901234567890]'))).toMatchObject({
      message: 'list: a number cannot hold 12345678901234567890',
      location: { line: 7 },
    });
  });

  test('connect: middleware for errors is refused', async () => {
    const directory = connected('', 'export default () => (error, req, res, next) => next();');
    expect((await failure(directory)).message).toContain(
      'connect:./mw.js made no middleware: a function of 4 parameters',
    );
  });

  test('keys of a section that uses a ready part have no effect, and a warning says so', async () => {
    const directory = temporaryDirectory({
      'main.ini':
        '[app:main]\nuse = inner\na = 1\n[app:inner]\nuse = module:./app.js\nreload_files = *.x\nb = 2\nset c = 3\n',
      'app.js': 'module.exports = () => {};',
    });
    const session = new LoadSession();
    await loadContext('app', 'config:main.ini', { relativeTo: directory }, session);
    expect(session.warnings.map(({ message, location }) => [location.line, message])).toEqual([
      [7, '[app:inner] b has no effect: module:./app.js is the application itself, and gets no settings'],
      [3, '[app:main] a has no effect: module:./app.js is the application itself, and gets no settings'],
    ]);
  });
});

const TAKES_OPTIONS = 'export default (options) => (req, res, next) => { req.options = options; next(); };';

/** An application behind a middleware with these settings. */
function connected(settings: string, middleware: string = TAKES_OPTIONS): string {
  return project('', {
    'mw.js': middleware,
    'main.ini': `[app:main]\nuse = module:./app.js\nfilter-with = f\n[filter:f]\nuse = connect:./mw.js\n${settings}`,
    'app.js': 'export default (req) => { globalThis.seenOptions = req.options; };',
    'package.json': '{"type": "module"}',
  });
}

describe('errors', () => {
  test.each([
    ['[app:main]\nuse = call:./no.js:make', 2, 7, 'there is no module'],
    ['[app:main]\nuse = call:./app.js:mak', 2, 7, 'exports no "mak"'],
    ['[app:main]\nuse = module:./app.js', 2, 7, 'has no default export'],
    ['[app:main]\nuse = npm:nothing', 2, 7, 'is not installed'],
    ['[app:main]\nuse = connect:./app.js', 2, 7, 'connect: makes filters'],
    ['[app:main]\nuse = call:./app.js', 2, 7, 'not of the form module:name'],
    ['[app:main]\nuse = call:./app.js:value', 1, 1, 'is not a function'],
    ['[app:main]\nuse = module:./app.js#value', 1, 1, 'this is not an application'],
    ['[app:main]\nuse = call:./app.js:makeNothing', 2, 7, 'returned undefined'],
    ['[app:main]\nuse = call:./app.js:fails', 'app.js:4', 0, 'on purpose'],
    ['[app:main]\nuse = module:./throws.js', 'throws.js:2', 0, 'at import'],
    ['[app:main]\nuse = module:./syntax.js', 'syntax.js:2', 0, 'SyntaxError'],
    ['[app:main]\nuse = module:./imports.js', 'syntax.js:2', 0, 'SyntaxError'],
    ['[app:main]\nuse = module:./lost.js', 'lost.js:2', 0, 'Cannot find'],
  ])('%s', async (ini, line, column, text) => {
    const directory = project(ini, {
      'app.js': [
        'export const make = () => (req, res) => res.end();',
        'export const value = 42;',
        'export const makeNothing = () => {};',
        'export const fails = () => { throw new Error("on purpose"); };',
      ].join('\n'),
      'throws.js': 'const x = 1;\nthrow new Error("at import " + x);\n',
      'syntax.js': 'const x = 1;\nconst y = = 2;\nexport default x;\n',
      'imports.js': 'import x from "./syntax.js";\nexport default x;\n',
      'lost.js': '\nimport x from "./gone.js";\nexport default x;\n',
      'package.json': '{"type": "module"}',
    });
    const error = await failure(directory);
    expect(error.message).toContain(text);
    const { location } = error;
    if (typeof line === 'string') expect(`${location?.file}:${location?.line}`).toBe(join(directory, line));
    else expect(location).toEqual({ file: join(directory, 'main.ini'), line, column });
  });

  test('if two modules do not parse, the error names the one that was saved last', async () => {
    const broken = 'const x = = 1;\n';
    const directory = project('', {
      'package.json': '{"type": "module"}',
      'app.js': 'import "./one.js";\nimport "./two.js";\n',
      'one.js': broken,
      'two.js': `\n${broken}`,
    });
    utimesSync(join(directory, 'one.js'), 1, 1);
    // Up to Node 20 the error has no frames.
    const error = Object.assign(new SyntaxError('Unexpected token'), { stack: 'SyntaxError: Unexpected token' });
    const place = await placeOfError(error, join(directory, 'app.js'));
    expect(place).toMatchObject({ file: join(directory, 'two.js'), line: 2 });
  });

  test('appConfig calls no factory', async () => {
    const directory = project('[app:main]\nuse = call:./gone.js:make\na = 1');
    expect((await appConfig('config:main.ini', { relativeTo: directory })).localConf).toEqual({ a: '1' });
  });

  test('an error in an included file is reported in that file', async () => {
    const directory = project('[app:main]\nuse = config:other.ini', { 'other.ini': 'no section\n' });
    expect((await failure(directory)).location).toMatchObject({ file: join(directory, 'other.ini'), line: 1 });
  });
});
