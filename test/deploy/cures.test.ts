/** Common errors in an INI file: the message has the place, and the hint has the text to write instead. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { checkFile } from '../../src/deploy/check/check.ts';
import { loadApp, loadServer } from '../../src/index.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

const MODULE = `
export const makeApp = () => (req, res) => res.end('hello');
export const makeNothing = () => {};
export const makeFilter = () => () => {};
`;
const APP = '[app:main]\nuse = call:./app.js:makeApp\n';
const SERVER = '[server:main]\nuse = egg:paster#http\n';
const manifest = { type: 'module', dependencies: { 'left-padding': '1', 'listed-package': '1' } };
const files = { 'package.json': JSON.stringify(manifest), 'app.js': MODULE };

test.each([
  [
    '2:7',
    '[app:main]\nuse = app.js:makeApp\n',
    'there is no section [app:app.js:makeApp]',
    'write call:./app.js:makeApp',
  ],
  [
    '2:7',
    '[app:main]\nuse = ./lib/server.mjs\n',
    'there is no section [app:./lib/server.mjs]',
    'write listen:./lib/server.mjs',
  ],
  [
    '2:7',
    '[app:main]\nuse = "call:./app.js:makeApp"\n',
    'there is no section [app:"call:',
    'remove the quotes: use = call:./app.js:makeApp',
  ],
  [
    '2:1',
    '[app:main]\nuse call:./app.js:makeApp\n',
    '[app:main] "use" needs "=" after it',
    'write use = call:./app.js:makeApp',
  ],
  [
    '3:5',
    `${APP}x = %(ENV_NOT_SET_HERE)s\n`,
    'the environment variable NOT_SET_HERE is not set',
    'export it, or pass -e FILE',
  ],
  [
    '2:12',
    '[pipeline:main]\npipeline = zip\n[filter:zip]\nuse = egg:paster#gzip\n',
    'there is no section [app:zip]',
    'zip is a filter; a pipeline ends with an application',
  ],
  [
    '2:12',
    '[pipeline:main]\npipeline = a a\n[app:a]\nuse = call:./app.js:makeApp\n',
    'there is no section [filter:a]',
    'a is an application; only the last name of a pipeline is one',
  ],
  [
    '2:7',
    '[app:main]\nuse = npm:left-paddin\n',
    '"left-paddin" is not installed',
    'did you mean "left-padding", which package.json names?',
  ],
  [
    '2:7',
    '[app:main]\nuse = npm:listed-package\n',
    '"listed-package" is not installed',
    'package.json names it: run npm install',
  ],
  [
    '2:7',
    '[app:main]\nuse = npm:quite-another\n',
    '"quite-another" is not installed',
    'check the spelling; package.json does not name it',
  ],
])('an error at %s of an application: %j', async (place, ini, message, hint) => {
  const [error] = await findings(`${ini}${SERVER}`);
  expect(error).toMatchObject({ place, hint });
  expect(error?.message).toContain(message);
});

test.each([
  [
    '3:1',
    `${APP}[server:mian]\nuse = egg:paster#http\n`,
    'there is no section [server:main] in this file',
    'rename [server:mian] to [server:main]',
  ],
  [
    '5:1',
    `${APP}${SERVER}port = "8080"\n`,
    'port: ""8080"" is not a whole number',
    'remove the quotes: they are part of the value',
  ],
  [
    '5:1',
    `${APP}${SERVER}http2 = 'true'\n`,
    `http2: "'true'" is not true or false`,
    'remove the quotes: they are part of the value',
  ],
  [
    '5:1',
    `${APP}${SERVER}port = 8080 ; the port\n`,
    'port: "8080 ; the port" is not a whole number',
    'a comment needs its own line',
  ],
  [
    '5:1',
    `${APP}${SERVER}port = "many"\n`,
    'port: ""many"" is not a whole number',
    'allowed: a whole number from 0 to 65535',
  ],
  [
    '5:1',
    `${APP}${SERVER}[Default]\n`,
    '[Default] has no effect: the section with the defaults is [DEFAULT], in capitals',
    undefined,
  ],
])('an error at %s elsewhere in a file: %j', async (place, ini, message, hint) => {
  const found = await findings(ini);
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({ place, hint });
  expect(found[0]?.message).toContain(message);
});

test.each([
  ["import 'listed-package';", 9, 'package.json names it: run npm install'],
  ["import 'listed-package/part.js';", 9, 'package.json names it: run npm install'],
  ["import another from 'another';", 22, 'check the spelling; package.json does not name it'],
  ["import './missing.js';", 11, undefined],
])('a module with %s gets the hint for its import', async (line, column, hint) => {
  const file = write(`[app:main]\nuse = call:./importing.js:makeApp\n${SERVER}`);
  writeFileSync(join(dirname(file), 'importing.js'), `${line}\n${MODULE}`);
  await expect(loadApp(`config:${file}`)).rejects.toMatchObject({
    code: 'PASTER_MODULE_FAILED',
    hint,
    location: { line: 1, column },
  });
});

test('a file without a server gets the section to add', async () => {
  const file = write(APP);
  await expect(loadServer(`config:${file}`)).rejects.toMatchObject({
    message: 'there is no section [server:main] in this file',
    hint: 'add [server:main] with use = npm:paster#http',
  });
});

test.each([
  ['an application', '[app:main]\ndebug = true\nuse = call:./app.js:makeNothing\n', 'makeNothing'],
  [
    'a factory named by its protocol',
    '[app:main]\ndebug = true\npaste.app_factory = ./app.js:makeNothing\n',
    'makeNothing',
  ],
  ['a composite', '[composite:main]\ndebug = true\npaste.composite_factory = ./app.js:makeNothing\n', 'makeNothing'],
])('the factory of %s that returns nothing is reported', async (_, ini, factory) => {
  const file = write(ini);
  const error = await loadApp(`config:${file}`).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: 'PASTER_FACTORY_RETURNED_NOTHING',
    location: { file, line: 3 },
    hint: 'is a `return` missing?',
  });
  expect((error as Error).message).toMatch(new RegExp(`${factory} returned undefined$`));
});

test('the factory of a filter that returns nothing is reported', async () => {
  const file = write(`${APP}filter-with = f\n[filter:f]\nuse = call:./app.js:makeNothing\n`);
  await expect(loadApp(`config:${file}`)).rejects.toMatchObject({ location: { file, line: 5, column: 7 } });
});

function write(ini: string): string {
  const file = join(temporaryDirectory(files), 'x.ini');
  writeFileSync(file, ini);
  return file;
}

async function findings(ini: string): Promise<{ place: string; message: string; hint: string | undefined }[]> {
  const found = await checkFile(write(ini), {});
  return found.map(({ error: { location, message, hint } }) => ({
    place: `${location?.line}:${location?.column}`,
    message,
    hint,
  }));
}
