/** `paster create`: what the command line, an answers file and a user at a terminal decide, and which files are written. */
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import {
  eventually,
  type Finished,
  needProgram,
  Program,
  paster,
  pasterWithoutRoot,
  ROOT,
} from '../helpers/programs/program.ts';

async function create(args: readonly string[], cwd: string): Promise<Finished> {
  return runHere(['create', ...args], { cwd });
}

function tree(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
}

function read(...path: string[]): string {
  return readFileSync(join(...path), 'utf8');
}

describe('lists', () => {
  test('--list-templates describes each template', async () => {
    const { status, stdout } = await create(['--list-templates'], temporaryDirectory());
    expect(status).toBe(0);
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/)[0])).toEqual([
      'basic',
      'express',
      'koa',
      'fastify',
      'hono',
      'etc',
      '',
    ]);
    expect(stdout).toMatch(/^express {2}an Express 5 application$/m);
  });

  test('--list-variables lists those of the chosen template', async () => {
    const { status, stdout } = await create(['--list-variables'], temporaryDirectory());
    expect(status).toBe(0);
    expect(stdout).toMatch(/^language {2}.* \(js, ts\); default: js$/m);
    expect(stdout).toMatch(/^server .* \(fastcgi, http, scgi, cgi\); default: fastcgi$/m);
    const etc = await create(['--list-variables', '-t', 'etc'], temporaryDirectory());
    expect(etc.stdout).toMatch(/^app /m);
    expect(etc.stdout).not.toMatch(/^language /m);
  });

  test('--simulate shows the tree of files, and writes nothing', async () => {
    const directory = temporaryDirectory({ 'myapp/app.js': 'mine' });
    const { status, stdout } = await create(['-n', 'myapp'], directory);
    expect([status, tree(directory)]).toEqual([1, ['myapp', 'myapp/app.js']]);
    expect(stdout).toBe(`myapp/
├─ .gitignore      would be created
├─ README.md       would be created
├─ app.js          would be kept
├─ etc/
│  ├─ config.ini   would be created
│  └─ develop.ini  would be created
├─ package.json    would be created
├─ page.js         would be created
├─ static/
│  └─ style.css    would be created
├─ test/
│  └─ app.test.js  would be created
└─ var/
   └─ .gitignore   would be created
`);
  });
});

describe('variables', () => {
  test.each([
    ['fastcgi', /^use = npm:paster#fastcgi$/m, /^socket = .*fcgi-socket$/m],
    ['scgi', /^use = npm:paster#scgi$/m, /^socket = .*scgi-socket$/m],
    ['http', /^use = npm:paster#http$/m, /^port = 8080$/m],
    ['cgi', /^use = npm:paster#cgi$/m, /^# Production, a CGI script/m],
  ])('server=%s', async (server, ...patterns) => {
    const directory = temporaryDirectory();
    expect((await create(['x', `server=${server}`], directory)).status).toBe(0);
    for (const pattern of patterns) expect(read(directory, 'x/etc/config.ini')).toMatch(pattern);
    expect(read(directory, 'x/etc/config.ini')).not.toMatch(/\{\{|workers = auto\n\n/);
    const checked = await runHere(['check', 'x/etc/config.ini'], { cwd: directory });
    // paster itself, which app.js imports, is not installed there.
    expect(checked.stdout.split('\n').filter((line) => !/app\.js/.test(line))).toEqual(['']);
  });

  test('a percent sign in a value is escaped, so that it stays one', async () => {
    const directory = temporaryDirectory();
    await create(['x', '-t', 'etc', 'app=module:./100%.js'], directory);
    expect(read(directory, 'x/etc/config.ini')).toContain('use = module:./100%%.js\n');
  });

  test.each([
    [['x', 'langauge=ts'], 'the template has no variable "langauge" (did you mean "language"?)'],
    [['x', 'language=typescript'], 'language=typescript: it can be js, ts'],
    [['x', 'server=fastcgj'], 'server=fastcgj: did you mean "fastcgi"?'],
    [['x', 'greeting=a\n[server:main]'], 'a control character or a line feed cannot be part of it'],
    [['x', 'name=../up'], 'the name is the argument, not a variable'],
    [['x', 'ts'], '"ts" is not of the form name=value'],
    [['-t', 'basik', 'x'], 'there is no template "basik" (did you mean "basic"?)'],
    [['language=ts'], 'the name of the project is missing'],
    [[], 'the name of the project is missing'],
    [['-t', 'express', 'express'], '"express" cannot be the name of a project'],
    ...[
      '../up',
      './x',
      '..',
      'a/b',
      '/abs',
      'UPPER',
      '.hidden',
      '-x y',
      'node_modules',
      'paster',
      'http',
      'a\nb',
      '',
    ].map((name) => [['--', name], '" cannot be the name of a project (']),
    [['a'.repeat(215)], 'longer than 214 characters'],
    ...['con', 'nul.js', 'lpt1'].map((name) => [[name], 'Windows has a device of this name']),
  ] as [string[], string][])('%j is an error, and nothing is written', async (args, message) => {
    const directory = temporaryDirectory();
    const { status, stderr, stdout } = await create(args, directory);
    expect([status, stdout, tree(directory)]).toEqual([2, '', []]);
    expect(stderr).toMatch(/^paster: .+\n$/);
    expect(stderr).toContain(message);
  });
});

describe('templates of other packages', () => {
  const FILES = {
    'node_modules/shop/package.json': JSON.stringify({
      name: 'shop',
      dependencies: { zod: '^4.0.0' },
      paster: { 'paste.paster_create_template': { shop: './templates/shop', express: './templates/shop' } },
    }),
    'node_modules/shop/templates/shop/template.ini': `[template]
summary = a shop
requires = express ./../more

[variable:currency]
help = what prices are in
default = EUR

[variable:owner]
help = whose it is
`,
    'node_modules/shop/templates/shop/shop.txt_tmpl': '{{owner}} of {{name}} takes {{currency}}\n',
    'node_modules/shop/templates/shop/package.json_tmpl': '{"dependencies": {"zod": "{{version:zod}}"}}',
    'node_modules/shop/templates/more/more.txt': 'more\n',
  };

  test('are listed, applied on top of the templates that they require, and have their own variables', async () => {
    const directory = temporaryDirectory(FILES);
    const list = await create(['--list-templates'], directory);
    expect(list.stdout).toMatch(/^shop +a shop$/m);
    // paster's own template keeps its name.
    expect(list.stdout).toMatch(/^express +an Express/m);
    expect(list.stdout).toMatch(/^shop#express +a shop$/m);
    const { status, stderr } = await create(['-t', 'shop', 'x', 'owner=Ada'], directory);
    expect([status, stderr]).toEqual([0, '']);
    expect(read(directory, 'x/shop.txt')).toBe('Ada of x takes EUR\n');
    expect(read(directory, 'x/more.txt')).toBe('more\n');
    expect(Object.keys(JSON.parse(read(directory, 'x/package.json')).dependencies)).toEqual([
      'express',
      'paster',
      'zod',
    ]);
    expect(existsSync(join(directory, 'x/app.js'))).toBe(true);
  });

  test('with a variable without a value require it on the command line', async () => {
    const directory = temporaryDirectory(FILES);
    const { status, stderr } = await create(['-t', 'npm:shop#shop', 'x'], directory);
    expect([status, stderr]).toEqual([
      2,
      'paster: create: the variable "owner" has no value (give owner=VALUE: whose it is)\n',
    ]);
  });

  test('with an error are reported, and the others are listed', async () => {
    const directory = temporaryDirectory({
      ...FILES,
      'node_modules/shop/templates/shop/template.ini': '[template]\nsumary = a shop\n',
      'node_modules/away/package.json':
        '{"name": "away", "paster": {"paste.paster_create_template": {"away": "../../..", "gone": "./gone"}}}',
    });
    const { status, stderr } = await create(['x'], directory);
    expect(status).toBe(0);
    expect(stderr).toContain('shop/template.ini:2:1: [template] unknown key "sumary" (did you mean "summary"?)');
    expect(stderr).toContain('the package "away" declares a template "away" that is not a directory of the package');
    expect(stderr).toContain('the package "away" declares a template "gone" that is not a directory of the package');
  });

  test('that require each other are an error', async () => {
    const directory = temporaryDirectory({
      ...FILES,
      'node_modules/shop/templates/shop/template.ini': '[template]\nrequires = ./../more\n',
      'node_modules/shop/templates/more/template.ini': '[template]\nrequires = shop\n',
    });
    const { status, stderr } = await create(['-t', 'shop', 'x'], directory);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^paster: templates require each other: .*shop -> .*more -> .*shop\n$/);
  });

  test('are applied in the order of several -t', async () => {
    const directory = temporaryDirectory();
    await create(['-t', 'koa', '-t', 'basic', 'x'], directory);
    expect(read(directory, 'x/app.js')).not.toContain('koa');
    expect(read(directory, 'x/package.json')).toContain('"koa"');
  });
});

describe('--config', () => {
  test('writes the answers, and reads them the next time', async () => {
    const directory = temporaryDirectory();
    const first = await create(
      ['--config', 'a/answers.ini', '-t', 'hono', 'one', 'language=ts', 'greeting=50% off'],
      directory,
    );
    expect(first.status).toBe(0);
    expect(read(directory, 'a/answers.ini')).toBe(`[create]
name = one
template = hono
language = ts
greeting = 50% off
app = call:../app.ts:makeApp
server = fastcgi
`);
    const second = await create(['--config', 'a/answers.ini', '-o', 'again', 'server=scgi'], directory);
    expect([second.status, second.stderr]).toEqual([0, '']);
    expect(read(directory, 'again/one/app.ts')).toBe(read(directory, 'one/app.ts'));
    expect(read(directory, 'again/one/etc/config.ini')).toContain('npm:paster#scgi');
    expect(read(directory, 'a/answers.ini')).toContain('server = scgi\n');
  });

  test('keeps other sections of the file', async () => {
    const answers = '# mine\n[other]\na = 1\n\n[create]\nlanguage = ts\n# old\n\n[more]\nb = 2\n';
    const directory = temporaryDirectory({ 'answers.ini': answers });
    expect((await create(['--config', 'answers.ini', 'x'], directory)).status).toBe(0);
    const written = read(directory, 'answers.ini');
    expect(written.startsWith('# mine\n[other]\na = 1\n\n[create]\nname = x\ntemplate = basic\nlanguage = ts\n')).toBe(
      true,
    );
    expect(written.endsWith('server = fastcgi\n\n[more]\nb = 2\n')).toBe(true);
  });

  test('writes no answers with --simulate, and reports errors with their place', async () => {
    const directory = temporaryDirectory({ 'bad.ini': 'lost\n', 'long.ini': '[create]\ngreeting = a\n  b\n' });
    await create(['-n', '--config', 'answers.ini', 'x'], directory);
    expect(existsSync(join(directory, 'answers.ini'))).toBe(false);
    const bad = await create(['--config', 'bad.ini', 'x'], directory);
    expect([bad.status, bad.stderr.startsWith('paster: bad.ini:1:1: ')]).toEqual([2, true]);
    const long = await create(['--config', 'long.ini', 'x'], directory);
    expect(long.stderr).toBe('paster: long.ini:2:1: [create] greeting: it must be one line\n');
  });
});

describe('existing files', () => {
  test('one that differs is kept with status 1, and replaced with --overwrite', async () => {
    const directory = temporaryDirectory({ 'myapp/app.js': 'mine\n', 'myapp/notes.txt': 'mine\n' });
    const kept = await create(['myapp', '--no-interactive'], directory);
    expect(kept.status).toBe(1);
    expect(kept.stdout).toContain('kept: myapp/app.js\n');
    expect(kept.stdout).toContain('created: myapp/etc/config.ini\n');
    expect(kept.stderr).toBe('paster: 1 file differs and was kept (--overwrite replaces)\n');
    expect(read(directory, 'myapp/app.js')).toBe('mine\n');
    const replaced = await create(['myapp', '-f'], directory);
    expect(replaced.status).toBe(0);
    expect(replaced.stdout).toContain('same: myapp/etc/config.ini\n');
    expect(read(directory, 'myapp/app.js')).toContain('makeApp');
    expect(read(directory, 'myapp/notes.txt')).toBe('mine\n');
  });

  test('a file at the path of the directory is an error', async () => {
    const directory = temporaryDirectory({ myapp: 'mine', out: '' });
    for (const [args, file] of [
      [['myapp'], 'myapp'],
      [['-o', 'out', 'x'], 'out'],
    ] as const) {
      const { status, stderr } = await create(args, directory);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^paster: cannot write .*\n$/);
      expect(stderr).toContain(`${directory}/${file} is a file, not a directory`);
    }
    expect(tree(directory)).toEqual(['myapp', 'out']);
  });

  test('a directory without write permission is an error', async () => {
    const directory = temporaryDirectory();
    chmodSync(directory, 0o555);
    const { status, stderr } = await pasterWithoutRoot(['create', 'x'], { cwd: directory }).finished();
    chmodSync(directory, 0o755);
    expect([status, stderr]).toEqual([1, `paster: cannot write ${directory}: permission denied\n`]);
    expect(tree(directory)).toEqual([]);
  });
});

describe('interrupted', () => {
  /** A template of so many files that a signal arrives while they are written. */
  const MANY = {
    'node_modules/many/package.json':
      '{"name": "many", "paster": {"paste.paster_create_template": {"many": "./template"}}}',
    ...Object.fromEntries(
      Array.from({ length: 800 }, (_, count) => [
        `node_modules/many/template/${count % 40}/${count}`,
        'x'.repeat(5000),
      ]),
    ),
  };

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('by %s while it writes: leaves all files or none', async (signal, expected) => {
    const directory = temporaryDirectory({ ...MANY, 'x/mine': 'mine' });
    const program = paster(['create', '-t', 'many', 'x'], { cwd: directory });
    const isWriting = () => readdirSync(join(directory, 'x')).some((name) => name.startsWith('.paster-'));
    await eventually(() => isWriting() || program.child.exitCode !== null);
    const { status, stderr } = await program.kill(signal);
    // It may have finished just before the signal arrived.
    if (status !== 0) expect([status, stderr]).toEqual([expected, 'paster: interrupted: nothing was written\n']);
    const written = tree(join(directory, 'x'));
    expect(written.length).toBe(status === 0 ? 841 : 1);
    expect(written).toContain('mine');
  });
});

describe('at a terminal', () => {
  /** Runs `paster create` in its own terminal, so its output contains control sequences. */
  function terminal(args: string, directory: string): Program {
    const script = needProgram('script');
    // A terminal without a size wraps after each character.
    const command = `stty cols 100 rows 40; exec ${process.execPath} ${join(ROOT, 'bin/paster.js')} create ${args}`;
    return new Program(script, ['-qefc', command, '/dev/null'], {
      cwd: directory,
      env: { TERM: 'xterm' },
      typing: true,
    });
  }

  const DOWN = '\x1b[B';

  test('asks for name, framework, language and server, and again after an invalid name', async () => {
    const directory = temporaryDirectory();
    const program = terminal('', directory);
    await program.says(/Name of the project/);
    program.type('UP\r');
    await program.says(/small letters/);
    program.type('\x7f\x7fasked\r');
    await program.says(/Framework/);
    program.type(`${DOWN}\r`);
    await program.says(/Language/);
    program.type(`${DOWN}\r`);
    await program.says(/Server in production/);
    program.type(`${DOWN}${DOWN}\r`);
    await program.says(/Next: cd asked && npm install (?:\.\.\/)+\S+ && npx paster/);
    expect((await program.finished()).status).toBe(0);
    expect(read(directory, 'asked/app.ts')).toContain("from 'express'");
    expect(read(directory, 'asked/etc/config.ini')).toContain('npm:paster#scgi');
  });

  test('does not ask for what the command line or the answers file says, and nothing at all with --no-interactive', async () => {
    const directory = temporaryDirectory({ 'answers.ini': '[create]\nserver = http\nlanguage = js\n' });
    const asked = terminal('x -t koa --config answers.ini', directory);
    const { status, stdout } = await asked.finished();
    expect([status, stdout.includes('Language')]).toEqual([0, false]);
    const silent = terminal('y --no-interactive', directory);
    expect((await silent.finished()).status).toBe(0);
    expect(read(directory, 'y/app.js')).toContain('makeApp');
  });

  const ANSWERED = 'x -t basic language=js server=http';
  const MINE = { 'x/app.js': 'mine\n', 'x/README.md': 'my own\n', 'x/package.json': '{"mine": true}\n' };

  test('shows the difference of a file that differs, and offers yes, no and backup', async () => {
    const directory = temporaryDirectory(MINE);
    const program = terminal(ANSWERED, directory);
    await program.says(/--- README\.md as it is[\s\S]*-my own[\s\S]*README\.md is there and differs[\s\S]*└/);
    program.type('d');
    await program.says(/-my own[\s\S]*-my own[\s\S]*└/);
    program.type('y');
    await program.says(/app\.js is there and differs[\s\S]*└/);
    program.type('b');
    await program.says(/package\.json is there and differs[\s\S]*└/);
    program.type('n');
    const { status, stdout } = await program.finished();
    expect(status).toBe(1);
    expect(stdout).toMatch(/overwritten: x\/README\.md\s+backed up: x\/app\.js\s+/);
    expect(stdout).toMatch(/kept: x\/package\.json/);
    expect(read(directory, 'x/README.md')).toContain('# x');
    expect(read(directory, 'x/app.js')).toContain('makeApp');
    expect(read(directory, 'x/app.js.bak')).toBe('mine\n');
    expect(read(directory, 'x/package.json')).toBe('{"mine": true}\n');
  });

  test('accepts one answer for all files', async () => {
    const directory = temporaryDirectory(MINE);
    const program = terminal(ANSWERED, directory);
    await program.says(/README\.md is there and differs[\s\S]*└/);
    program.type('a');
    await program.says(/All files that differ:[\s\S]*└/);
    program.type('b');
    expect((await program.finished()).status).toBe(0);
    for (const [file, text] of Object.entries(MINE)) expect(read(directory, `${file}.bak`)).toBe(text);
  });

  test('Ctrl-C at a question changes nothing', async () => {
    const directory = temporaryDirectory(MINE);
    const before = tree(directory);
    const program = terminal(ANSWERED, directory);
    await program.says(/README\.md is there and differs[\s\S]*└/);
    program.type('y');
    await program.says(/app\.js is there and differs[\s\S]*└/);
    program.type('\x03');
    const { status, stdout } = await program.finished();
    expect([status, tree(directory)]).toEqual([130, before]);
    expect(stdout).toContain('paster: interrupted: nothing was written');
    for (const [file, text] of Object.entries(MINE)) expect(read(directory, file)).toBe(text);
  });
});
