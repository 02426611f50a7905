/** `paster create .` in projects that run without paster: the created files serve them, and their own files stay unchanged. */
import { readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { type Finished, freePort, ROOT, serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';

type Files = Readonly<Record<string, string>>;

/** Projects as their authors wrote them; PORT is replaced by a free port, except in `process.env.PORT || ...`. */
const PROJECTS: Readonly<Record<string, Files>> = {
  'Express, CommonJS, listen(PORT)': {
    'package.json':
      '{\n\t"name": "shop",\n\t"scripts": {\n\t\t"start": "node server.js"\n\t},\n\t"files": ["a", "b"]\n}\n',
    'server.js':
      "const app = require('express')();\napp.get('/', (req, res) => res.send('it works'));\napp.listen(PORT, () => console.log('up'));\n",
  },
  'Express as its generator writes it: bin/www without an extension': {
    'package.json': '{\n  "scripts": {\n    "start": "node ./bin/www"\n  }\n}',
    'app.js':
      "const app = require('express')();\napp.get('/', (req, res) => res.send('it works'));\nmodule.exports = app;\n",
    'bin/www':
      "#!/usr/bin/env node\nconst app = require('../app');\nvar port = Number(process.env.PORT || 'PORT');\nrequire('http').createServer(app).listen(port);\n",
  },
  'Fastify, ES modules, main': {
    'package.json': '{ "type": "module", "main": "src/index.js" }',
    'src/index.js':
      "import fastify from 'fastify';\nconst app = fastify();\napp.get('/', async () => 'it works');\nawait app.listen({ port: Number(process.env.PORT ?? PORT), host: '0.0.0.0' });\n",
  },
  'Koa, files relative to the working directory': {
    'package.json': '{\r\n  "scripts": {}\r\n}\r\n',
    'greeting.txt': 'it works',
    'index.js':
      "const Koa = require('koa');\nconst app = new (Koa.default ?? Koa)();\napp.use((c) => { c.body = require('fs').readFileSync('greeting.txt', 'utf8'); });\napp.listen(PORT);\n",
  },
  'Hono, its server for Node': {
    'package.json': '{"type":"module","scripts":{"start":"node server.js"}}',
    'server.js':
      "import { serve } from '@hono/node-server';\nimport { Hono } from 'hono';\nconst app = new Hono();\napp.get('/', (c) => c.text('it works'));\nserve({ fetch: app.fetch, port: PORT });\n",
  },
  'an application that is only exported': {
    'package.json': '{ "type": "module", "main": "app.js" }\n',
    'app.js':
      "import { Hono } from 'hono';\n// const port = PORT;\nconst app = new Hono();\napp.get('/', (c) => c.text('it works'));\nexport default app;\n",
  },
  'a program without package.json': {
    'server.js': "require('node:http').createServer((req, res) => res.end('it works')).listen(PORT);\n",
  },
};

function project(files: Files, port: number): string {
  const directory = temporaryDirectory(
    Object.fromEntries(
      Object.entries(files).map(([name, text]) => [name, text.replace(/(?<!\.)\bPORT\b(?! [|?])/g, `${port}`)]),
    ),
  );
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}

function create(directory: string, ...args: string[]): Promise<Finished> {
  return runHere(['create', '.', ...args], { cwd: directory });
}

/** All files with their text, without node_modules. */
function contents(directory: string): Record<string, string> {
  const files = readdirSync(directory, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => [
      join(entry.parentPath, entry.name).slice(directory.length + 1),
      readFileSync(join(entry.parentPath, entry.name), 'utf8'),
    ]),
  );
}

/** The arguments of the script that serves a file of etc/, as npm would run it. */
function script(directory: string, file: string): string[] {
  const { scripts } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { scripts: Files };
  const found = Object.values(scripts).find((each) => each.startsWith(`paster serve ${file}`));
  return found?.split(' ').slice(2) ?? [];
}

describe.each(Object.entries(PROJECTS))('%s', (_name, files) => {
  test('is served by the scripts that create adds, and its files stay unchanged', async () => {
    const port = await freePort();
    const directory = project(files, port);
    const before = contents(directory);
    const { status, stderr, stdout } = await create(directory);
    expect([status, stderr]).toEqual([0, '']);
    const after = contents(directory);
    const isExported = files['app.js']?.includes('export default') ?? false;
    for (const [file, text] of Object.entries(before)) {
      if (file !== 'package.json') expect(after[file], file).toBe(text);
    }
    for (const file of ['etc/config.ini', 'etc/develop.ini']) {
      // Other tests may use 8080.
      const elsewhere = isExported ? ['-p', `${port}`] : [];
      if (isExported) expect(after[file]).toMatch(/^(?:http_)?port = 8080$/m);
      const program = await serve([...script(directory, file), ...elsewhere], { cwd: directory });
      expect(program.url).toBe(`http://127.0.0.1:${port}`);
      expect(`${(await ask(program.url, '/')).body}`, stdout).toBe('it works');
      await program.kill('SIGTERM');
      const checked = await runHere(['check', file], { cwd: directory });
      expect(checked.stdout).toBe(`${file}: ok\n`);
    }
    const second = await create(directory);
    expect([second.status, contents(directory)]).toEqual([0, after]);
    expect(second.stdout).not.toMatch(/^(?:created|extended|overwritten|kept):/m);
  });
});

describe('package.json', () => {
  const SERVER = { 'server.js': "require('node:http').createServer((q, r) => r.end()).listen(3000);\n" };

  test.each([
    ['free names', '{\n    "scripts": {\n        "test": "x"\n    },\n    "files": ["a", "b"]\n}\n', ['dev', 'start']],
    [
      'taken names',
      '{"scripts": {"dev": "nodemon server.js", "start": "node server.js"}}',
      ['paster:dev', 'paster:start'],
    ],
  ])('%s: scripts are added, and the rest is unchanged', async (_name, text, names) => {
    const directory = temporaryDirectory({ ...SERVER, 'package.json': text });
    const { stdout } = await create(directory);
    expect(stdout).toContain(`extended: package.json (scripts "${names[0]}" and "${names[1]}")`);
    const written = readFileSync(join(directory, 'package.json'), 'utf8');
    const { scripts } = JSON.parse(written) as { scripts: Files };
    expect(scripts).toEqual({
      ...(JSON.parse(text) as { scripts: Files }).scripts,
      [names[0] ?? '']: 'paster serve etc/develop.ini --reload',
      [names[1] ?? '']: 'paster serve etc/config.ini',
    });
    const withoutAdded = written.replace(/,\s*"(?:paster:)?(?:dev|start)": ?"paster serve [^"]*"/g, '');
    expect(withoutAdded).toBe(text);
  });

  test('that is not valid JSON is an error, and nothing is written', async () => {
    const directory = temporaryDirectory({ ...SERVER, 'package.json': '{ "scripts": ' });
    const { status, stderr } = await create(directory);
    expect([status, Object.keys(contents(directory)).sort()]).toEqual([2, ['package.json', 'server.js']]);
    expect(stderr).toMatch(/^paster: package\.json is not JSON: /);
  });
});

describe('existing files', () => {
  const SERVER = { 'server.js': "require('node:http').createServer((q, r) => r.end()).listen(3000);\n" };

  test('a directory with the name of a file is an error, or ignored', async () => {
    const directory = temporaryDirectory({ ...SERVER, '.env/bin/python': '', '.dockerignore/x': '' });
    const { status, stderr } = await create(directory);
    const message = 'paster: cannot add lines to .dockerignore: it is not a file that you can read (remove it, or make';
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
    rmSync(join(directory, '.dockerignore'), { recursive: true });
    expect((await create(directory)).stdout).toContain('created: etc/config.ini\n');
    expect(contents(directory)['package.json']).not.toContain('--dotenv');
  });

  test('an INI file that differs is kept with status 1, or replaced with --overwrite', async () => {
    const directory = temporaryDirectory({ ...SERVER, 'etc/develop.ini': '# mine\n' });
    const kept = await create(directory);
    expect([kept.status, kept.stderr]).toEqual([1, 'paster: 1 file differs and was kept (--overwrite replaces)\n']);
    expect(contents(directory)['etc/develop.ini']).toBe('# mine\n');
    const replaced = await create(directory, '-f');
    expect([replaced.status, replaced.stdout]).toEqual([0, expect.stringContaining('overwritten: etc/develop.ini\n')]);
  });

  test('--simulate shows what would be written', async () => {
    const directory = temporaryDirectory({ ...SERVER, '.gitignore': 'node_modules\n' });
    const before = contents(directory);
    const { status, stdout } = await create(directory, '-n');
    expect([status, contents(directory)]).toEqual([0, before]);
    expect(stdout).toMatch(/^│ {2}└─ \.gitignore +would be created$/m);
  });

  test('the first line of an INI file has the command of its script, with --dotenv', async () => {
    const directory = temporaryDirectory({
      ...SERVER,
      'package.json': '{ "scripts": { "start": "node --env-file=.env server.js" } }',
      '.env': 'A=1\n',
    });
    await create(directory);
    for (const file of ['etc/config.ini', 'etc/develop.ini']) {
      const [first = ''] = contents(directory)[file]?.split('\n') ?? [];
      expect(first).toMatch(/ --dotenv \.env$/);
      expect(first.split(' npx ')[1]).toBe(`paster serve ${script(directory, file).join(' ')}`);
    }
  });

  test('var/ is created for pid files and logs, and git ignores its content', async () => {
    const directory = temporaryDirectory({ ...SERVER, '.gitignore': 'node_modules', '.dockerignore': '/var\n' });
    const first = await create(directory);
    expect(first.stdout).toContain('created: var/.gitignore\n');
    expect(contents(directory)).toMatchObject({
      'var/.gitignore': '*\n!.gitignore\n',
      '.gitignore': 'node_modules',
      '.dockerignore': '/var\n',
    });
    await create(directory);
    expect(contents(directory)['.gitignore']).toBe('node_modules');
    const other = temporaryDirectory({ ...SERVER, '.env': 'A=1\n' });
    await create(other);
    expect(contents(other)['.gitignore']).toBe('node_modules/\n.env\n');
    expect(contents(other)['.dockerignore']).toBe('.git/\nnode_modules/\n.env\nvar/\n');
  });

  test('an existing var/ is added to .gitignore once', async () => {
    const directory = temporaryDirectory({ ...SERVER, '.gitignore': 'node_modules', 'var/own.txt': '' });
    await create(directory);
    await create(directory);
    expect(contents(directory)['.gitignore']).toBe('node_modules\nvar/\n');
    expect(contents(directory)).not.toHaveProperty('var/.gitignore');
  });
});

test('paster serves the files of public/ if the lines in config.ini are enabled', async () => {
  const directory = project(
    {
      'server.js': "require('node:http').createServer((q, r) => r.end('dynamic')).listen(PORT);\n",
      'public/a.txt': 'static',
    },
    await freePort(),
  );
  await create(directory);
  const file = join(directory, 'etc/config.ini');
  const text = readFileSync(file, 'utf8').replace('[app:main]', '[app:program]');
  writeFiles(directory, {
    'etc/config.ini': text.replace(/^# (?=\[|use = npm:paster#(?:cascade|static)|app\d|document_root)/gm, ''),
  });
  const program = await serve(['etc/config.ini'], { cwd: directory });
  expect(`${(await ask(program.url, '/a.txt')).body}`).toBe('static');
  expect(`${(await ask(program.url, '/b')).body}`).toBe('dynamic');
});

test('the program gets the variables and the Node options of its script', async () => {
  const start = 'GREETING=100%d NODE_OPTIONS=--no-warnings node --import ./hook.mjs --stack-trace-limit=7 server.js';
  const directory = project(
    {
      'package.json': JSON.stringify({ scripts: { start } }),
      'hook.mjs': "globalThis.hook = 'imported';\n",
      'server.js':
        "require('node:http').createServer((q, r) => r.end([hook, process.env.GREETING, Error.stackTraceLimit].join())).listen(PORT);\n",
    },
    await freePort(),
  );
  const { stdout } = await create(directory);
  const options = 'NODE_OPTIONS=--no-warnings --import=./hook.mjs --stack-trace-limit=7';
  expect(stdout).toMatch(new RegExp(`^environment +GREETING=100%d ${options} \\(the same script\\)$`, 'm'));
  for (const file of ['etc/config.ini', 'etc/develop.ini']) {
    expect(contents(directory)[file]).toContain(`environment =\n    GREETING=100%%d\n    ${options}\n`);
    const program = await serve(script(directory, file), { cwd: directory });
    expect(`${(await ask(program.url, '/')).body}`).toBe('imported,100%d,7');
    await program.kill('SIGTERM');
    const checked = await runHere(['check', file], { cwd: directory });
    expect(checked.stdout).toBe(`${file}: ok\n`);
  }
});

test('the commented line of config.ini enables FastCGI', async () => {
  const port = await freePort();
  const directory = project(PROJECTS['a program without package.json'] ?? {}, port);
  await create(directory);
  const text = readFileSync(join(directory, 'etc/config.ini'), 'utf8');
  writeFiles(directory, {
    'etc/config.ini': text.replace(/^use = npm:paster#http\n/m, '').replace('# use = npm', 'use = npm'),
  });
  const program = await serve(['etc/config.ini'], { cwd: directory });
  expect(program.url).toBe(`fastcgi://127.0.0.1:${port}`);
});

test('init does the same, and the command line overrides what it finds', async () => {
  const directory = temporaryDirectory({
    'server.js': "require('node:http').createServer((q, r) => r.end()).listen(3000);\n",
  });
  const { status, stdout } = await runHere(['init', 'port=4000'], { cwd: directory });
  expect([status, stdout]).toEqual([0, expect.stringMatching(/^port +4000 \(the command line\)$/m)]);
  expect(contents(directory)['etc/config.ini']).toContain('port = 4000\n');
  const wrong = await runHere(['init', 'prot=4000'], { cwd: directory });
  expect([wrong.status, wrong.stderr]).toEqual([
    2,
    'paster: create: the template has no variable "prot" (did you mean "port"?)\n',
  ]);
});

test('a program of the workspace root is named relative to etc/', async () => {
  const root = temporaryDirectory({
    'node_modules/next/package.json': '{}',
    'node_modules/next/dist/bin/next': '#!/usr/bin/env node\n',
    'apps/web/package.json': '{"dependencies": {"next": "15"}}',
  });
  const { status, stdout } = await runHere(['init', '-o', 'apps/web'], { cwd: root });
  expect(status).toBe(0);
  // paster is not on npm, so a clone names its own path.
  const clone = relative(join(root, 'apps/web'), ROOT);
  expect(stdout).toMatch(new RegExp(`^Next: cd apps/web && npm install ${clone} && npm run dev$`, 'm'));
  expect(contents(join(root, 'apps/web'))['etc/config.ini']).toContain(
    'use = listen:../../../node_modules/next/dist/bin/next\nargs = start\n',
  );
});

test.each(['--template=express', '--config=answers.ini'])('%s is for new projects', async (option) => {
  const directory = temporaryDirectory({ 'server.js': 'listen(3000)' });
  const { status, stderr } = await create(directory, option);
  expect([status, stderr, Object.keys(contents(directory))]).toEqual([
    2,
    `paster: create: ${option.split('=')[0]} is for new projects (give a name instead of ".")\n`,
    ['server.js'],
  ]);
});

test('a program on the command line is used in both files, without the arguments of the detected one', async () => {
  const directory = temporaryDirectory({
    'package.json': '{"scripts": {"start": "node server.js --x", "dev": "node --watch dev.js --y"}}',
    'server.js': 'listen(3000)',
    'dev.js': 'listen(3000)',
  });
  await create(directory, 'app=listen:../other.js');
  for (const file of ['etc/config.ini', 'etc/develop.ini']) {
    expect(contents(directory)[file]).toContain('use = listen:../other.js\ncwd = %(here)s/..\n');
  }
  await create(directory, '-f');
  expect(contents(directory)['etc/config.ini']).toContain('use = listen:../server.js\nargs = --x\n');
  expect(contents(directory)['etc/develop.ini']).toContain('use = listen:../dev.js\nargs = --y\n');
});

test('a directory without a program is an error that says what paster looked for', async () => {
  const { status, stderr } = await create(temporaryDirectory({ 'readme.txt': '' }));
  expect([status, stderr]).toEqual([2, expect.stringMatching(/^paster: found no program in .*"paster create NAME"/)]);
});
