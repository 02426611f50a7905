/** Programs and modules in files and directories with any name. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { eventually, paster, serve } from '../../helpers/programs/program.ts';

const COMMONJS = `require('node:http')
  .createServer((req, res) => res.end([require.main === module, ...process.argv.slice(2)].join(' ')))
  .listen(3000);
`;
const MODULE = `export default (req, res) => res.end('module');
export const makeApp = () => (req, res) => res.end('call');
`;
const LISTENING = `import { createServer } from 'node:http';
export default createServer((req, res) => res.end()).listen(3000);
`;

const TYPESCRIPT = `const http: typeof import('node:http') = require('node:http');
if (require.main === module) http.createServer((req, res) => res.end(module.id)).listen(3000);
`;

test.each(['server.cts', 'server.ts'])('require.main is the module of a program in TypeScript: %s', async (name) => {
  const { stdout } = await paster(['request', `listen:./${name}`, '/'], {
    cwd: temporaryDirectory({ [name]: TYPESCRIPT }),
  }).finished();
  expect(stdout).toBe('.');
});

/** Characters with a meaning in a URL, an INI file or a pattern. */
const NAMES = ['a#b', '#a', 'a%20b', 'a%b', 'a?b', 'a b', 'a:b', '[a]{b}', 'äö'];

describe.each(NAMES)('a name such as %s', (name) => {
  const directory = (): string => {
    const top = join(temporaryDirectory(), name);
    mkdirSync(top);
    const files = { '.cjs': COMMONJS, '.mjs': MODULE, '.listening.mjs': LISTENING };
    for (const [ending, source] of Object.entries(files)) writeFileSync(join(top, name + ending), source);
    return top;
  };

  const uses: readonly (readonly [uri: string, body: string])[] = [
    [`listen:./${name}.cjs#--a #b`, 'true --a #b'],
    [`module:./${name}.mjs`, 'module'],
    [`module:./${name}.mjs#default`, 'module'],
    [`call:./${name}.mjs:makeApp`, 'call'],
  ];

  test.each(uses)('works on a command line: %s', async (uri, body) => {
    const { stdout } = await paster(['request', uri, '/'], { cwd: directory() }).finished();
    expect(stdout).toBe(body);
  });

  test('works in an INI file', async () => {
    const cwd = directory();
    const mounts = uses.map(([uri], index) => `/${index} = ${uri.replaceAll('%', '%%')}\n`);
    writeFileSync(join(cwd, 'x.ini'), `[composite:main]\nuse = npm:paster#urlmap\n${mounts.join('')}`);
    const { url } = await serve(['x.ini', '--server', 'http', '--port', '0'], { cwd });
    for (const [index, [, body]] of uses.entries()) {
      expect(await (await fetch(`${url}/${index}`)).text()).toBe(body);
    }
  });

  test('works without an INI file, and in the INI file of create', async () => {
    const cwd = directory();
    const { url } = await serve([`./${name}.cjs`, '--port', '0'], { cwd });
    expect(await (await fetch(url)).text()).toBe('true');
    writeFileSync(join(cwd, 'package.json'), JSON.stringify({ main: `./${name}.cjs` }));
    const { status, stderr } = await runHere(['create', '.'], { cwd });
    expect([status, stderr]).toEqual([0, '']);
    const created = await serve(['etc/develop.ini', '--reload', '--port', '0'], { cwd });
    expect(await (await fetch(created.url)).text()).toBe('true');
    writeFileSync(join(cwd, `${name}.cjs`), COMMONJS.replace('[', "['edited', "));
    await eventually(async () => (await (await fetch(created.url)).text()) === 'edited true');
  });

  test('is correct in the place of an error', async () => {
    const { stderr } = await paster(['request', `module:./${name}.listening.mjs`, '/'], {
      cwd: directory(),
    }).finished();
    expect(stderr).toContain(`${name}.listening.mjs:2:54: calls listen() on port 3000 by itself`);
  });
});
