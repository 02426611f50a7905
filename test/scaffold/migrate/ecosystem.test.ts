/** How `paster create --from` reads an ecosystem file of pm2. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ECOSYSTEM_KEYS } from '../../../src/scaffold/migrate/ecosystem-keys.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { ROOT, requireTool } from '../../helpers/programs/program.ts';
import { app, create, PROGRAMS } from './migration.ts';

describe('forms of an ecosystem file', () => {
  const YAML = 'apps:\n  - name: web\n    script: server.js\n    instances: 3\n';
  test.each([
    ['ecosystem.config.cjs', 'module.exports = { apps: [{ name: "web", script: "server.js", instances: 3 }] };'],
    ['ecosystem.config.mjs', 'export default { apps: [{ name: "web", script: "server.js", instances: 3 }] };'],
    ['ecosystem.config.js', 'module.exports = [{ name: "web", script: "server.js", instances: 3 }];'],
    ['pm2.config.js', 'module.exports = { name: "web", script: "server.js", instances: "3" };'],
    ['processes.json', '// as pm2 reads it\n{ apps: [{ name: "web", script: "server.js", "instances": 3, }] }'],
    [
      'package.config.js',
      'console.log("printed"); module.exports = { pm2: [{ name: "web", exec: "server.js", instances: 3 }] };',
    ],
  ])('%s is read', async (name, text) => {
    const { status, config } = await create({ [name]: text });
    expect({ status, workers: /^workers = .*$/m.exec(config)?.[0] }).toEqual({ status: 0, workers: 'workers = 3' });
    expect(config).toContain('use = listen:../server.js');
  });

  test('ES modules are read in a project of ES modules', async () => {
    const { status, config } = await create({
      'ecosystem.config.js': 'export const apps = [{ name: "web", script: "server.js" }];',
      'package.json': '{ "type": "module" }',
    });
    expect(status).toBe(0);
    expect(config).toContain('port = 4321');
  });

  test('CommonJS in such a project is reported with Node’s error', async () => {
    const { status, stderr } = await create({
      'ecosystem.config.js': 'module.exports = { apps: [] };',
      'package.json': '{ "type": "module" }',
    });
    expect(status).toBe(2);
    expect(stderr).toContain(
      'ecosystem.config.js:1:1: cannot evaluate the file: module is not defined in ES module scope',
    );
  });

  const pm2 = requireTool('pm2');

  test.skipIf(pm2 === undefined)('YAML is read by the package that pm2 installs', async () => {
    const directory = temporaryDirectory({ ...PROGRAMS, 'ecosystem.yaml': YAML });
    const env = { PATH: `${dirname(pm2 ?? '')}/../../.bin:${process.env['PATH']}` };
    const made = await runHere(['create', '--from', 'ecosystem.yaml'], { cwd: directory, env });
    expect(made).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(directory, 'etc/config.ini'), 'utf8')).toContain('workers = 3');
  });

  test('YAML without that package is an error', async () => {
    const { status, stderr } = await create({ 'ecosystem.yml': YAML });
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr:
        'paster: ecosystem.yml:1:1: cannot evaluate the file: there is no package for YAML: npm install --save-dev yaml, or write the file as JSON\n',
    });
  });

  test.each([
    ['module.exports = {\n  apps: [\n', /^paster: ecosystem\.config\.js:\d+:1: cannot evaluate the file: Unexpected/],
    [
      '\nconst x = require("nope");',
      /^paster: ecosystem\.config\.js:2:11: cannot evaluate the file: Cannot find module 'nope'$/m,
    ],
    [
      '\n\nthrow new Error("no database")',
      /^paster: ecosystem\.config\.js:3:7: cannot evaluate the file: no database$/m,
    ],
    ['module.exports = () => 1', /app 1 is not an object \(a list of apps:/],
    ['module.exports = { apps: [{ name: "x" }] }', /the app "x" has no script/],
    ['module.exports = { apps: [{ script: "server.js", args: "\'" }] }', /args: there is a ' that is not closed/],
    [
      'module.exports = { apps: [\n{ name: "a", script: "server.js", env: { IMPORT: 1, PORT: 65536 } }] }',
      /^paster: ecosystem\.config\.js:2:59: a: PORT: "65536" is not a port \(allowed: a whole number from 0 to 65535\)$/m,
    ],
    [
      'const port = 10 * 9999;\nmodule.exports = { apps: [{ script: "server.js", port }] }',
      /^paster: ecosystem\.config\.js:1:1: server\.js: port: "99990" is not a port/m,
    ],
    [
      'module.exports = { apps: [{ name: "a", script: "server.js",\n  "cron": \'61 3 * * *\' }] }',
      /^paster: ecosystem\.config\.js:2:11: a: cron_restart: "61 3 \* \* \*" is not a schedule: Invalid value for minute: 61 \(allowed: five fields/m,
    ],
    [
      'module.exports = { apps: [{ name: "a", script: "server.js", cron_restart: "0 0 30 2 *", autorestart: false }] }',
      /^paster: ecosystem\.config\.js:1:75: a: cron_restart: "0 0 30 2 \*" is not a schedule: it is never due/m,
    ],
    ['process.exit(3)', /cannot evaluate .*: its process ended with status 3/],
  ])('an error has its place: %s', async (text, message) => {
    const { status, stdout, stderr, written } = await create({ 'ecosystem.config.js': `${text}\n` });
    expect({ status, stdout }).toEqual({ status: text.startsWith('process') ? 1 : 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(written).not.toHaveProperty(['etc/config.ini']);
  });
});

describe('keys', () => {
  const pm2 = requireTool('pm2');

  test.skipIf(pm2 === undefined)('every key of pm2 has a counterpart or a note', () => {
    const file = join(dirname(pm2 ?? ''), '../lib/API/schema.json');
    const schema = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { alias?: string | string[] }>;
    const known = new Set(Object.entries(ECOSYSTEM_KEYS).flatMap(([key, { aliases = [] }]) => [key, ...aliases]));
    const names = Object.entries(schema).flatMap(([key, { alias = [] }]) => [key, ...[alias].flat()]);
    expect(names.filter((name) => !known.has(name) && !name.startsWith('^env'))).toEqual([]);
  });

  test('every key is on the page', () => {
    const page = readFileSync(join(ROOT, 'docs/migrate/pm2.md'), 'utf8');
    const names = Object.entries(ECOSYSTEM_KEYS).flatMap(([key, { aliases = [] }]) => [key, ...aliases]);
    expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test.each([
    ['instances: "max"', 'workers = auto'],
    ['instances: 0, exec_mode: "cluster"', 'workers = auto'],
    ['max_memory_restart: "1G"', 'max_memory = 1024'],
    ['max_memory_restart: 104857600', 'max_memory = 100'],
    ['kill_timeout: 1600', 'graceful_timeout = 1.6'],
    ['listen_timeout: 8000', 'start_timeout = 8'],
    ['port: 4000', 'port = 4000'],
    ['env: { PORT: 4000 }, env_production: { PORT: 5000 }', 'port = 5000'],
    ['args: ["a b", "it\'s"]', String.raw`args = 'a b' 'it'\''s'`],
    ['node_args: "--max-old-space-size=200"', '    NODE_OPTIONS=--max-old-space-size=200'],
    ['source_map_support: true', '    NODE_OPTIONS=--enable-source-maps'],
    ['env: { RATE: "100%", LIST: [1] }', '    RATE=100%%'],
    ['env: { LIST: [1] }', '    LIST=[1]'],
    ['env: { A: 1 }, env_production: { B: 2 }', '    B=2'],
    ['cwd: "sub/.."', 'cwd = %(here)s/..'],
    ['node_args: "--env-file=.env --enable-source-maps"', 'env_file = %(here)s/../.env'],
    ['node_args: ["-r", "dotenv/config"], env: { DOTENV_CONFIG_PATH: ".env" }', 'env_file = %(here)s/../.env'],
  ])('of a server: %s', async (fields, line) => {
    const { status, config, directory } = await create({
      'ecosystem.config.js': `module.exports = { apps: [{ name: "web", script: "server.js", ${fields} }] };\n`,
      '.env': '',
    });
    expect(config).not.toContain('dotenv/config');
    expect({ status, lines: config.split('\n') }).toEqual({ status: 0, lines: expect.arrayContaining([line]) });
    const checked = await runHere(['check', 'etc/config.ini'], { cwd: directory });
    expect(checked).toMatchObject({ status: 0, stderr: '' });
  });

  test.each([
    ['script: "worker.js", instances: 3, exec_mode: "fork"', ['use = program:../worker.js', 'instances = 3']],
    ['script: "worker.js", user: "root", gid: "root"', ['user = root', 'group = root']],
    ['script: "worker.js", node_args: "--eval-unknown"', ['command = node --eval-unknown ', 'stop_signal = SIGINT']],
    ['script: "job.py", args: "-v"', ['command = python3 job.py -v', 'stop_signal = SIGINT']],
    ['script: "run.sh", interpreter: "none"', ['command = ./run.sh', 'stop_signal = SIGINT']],
    ['script: "worker.js", interpreter: "/opt/node18/bin/nodejs"', ['command = /opt/node18/bin/nodejs worker.js']],
    ['script: "echo a && echo b"', ["command = bash -c 'echo a && exec echo b'", 'stop_signal = SIGINT']],
    ['script: "echo a > b 2>&1"', ["command = bash -c 'exec echo a > b 2>&1'", 'stop_signal = SIGINT']],
    ['script: "/usr/bin/npm", args: "run queue"', ['use = program:../worker.js']],
    ['script: "echo a | cat"', ["command = bash -c 'echo a | cat'\ncwd"]],
    ['script: "npm", args: "run queue"', ['use = program:../worker.js', 'args = --queue', '    A=1']],
    ['script: "npm", args: \'"run" "queue" -- "a b"\'', ['use = program:../worker.js', "args = --queue 'a b'"]],
    ['script: "npm run queue"', ['use = program:../worker.js']],
    ['script: "yarn", args: "queue --more"', ['use = program:../worker.js', 'args = --queue --more']],
    ['script: "pnpm", args: ["run", "queue"]', ['use = program:../worker.js']],
    ['script: "npm", args: "start --prefix sub"', ['use = program:../sub/own.js', 'cwd = %(here)s/../sub']],
    ['script: "npm", args: "run typed"', ['command = node_modules/.bin/ts-node src/a.ts', 'stop_signal = SIGINT']],
    [
      'script: "npm", args: "run several"',
      [
        'command = bash -c \'export PATH="$PWD/node_modules/.bin:$PATH"; node a.js && exec node b.js\'',
        'stop_signal = SIGINT',
      ],
    ],
    ['script: "worker.js", node_args: "-r dotenv/config"', ['use = program:../worker.js\ncwd = %(here)s/..']],
    ['script: "app.js", cwd: "/var/www/none"', ['use = program:/var/www/none/app.js', 'cwd = /var/www/none']],
    ['script: "npm", args: "run piped"', ['command = npm run piped\ncwd']],
    [
      'script: "dist/jobs.js", node_args: "--enable-source-maps"',
      ['use = program:../dist/jobs.js', '    NODE_OPTIONS='],
    ],
    ['script: "dist/jobs.js", interpreter: "bun"', ['command = bun dist/jobs.js']],
    ['script: "worker.js", interpreter: "node@18"', ['use = program:../worker.js']],
    ['script: "sleep", args: "1000"', ['command = sleep 1000', 'stop_signal = SIGINT']],
    ['script: "waits.sh"', ['command = bash waits.sh\ncwd']],
    ['script: "waits.sh", interpreter: "none"', ['command = ./waits.sh\ncwd']],
    ['script: "becomes.sh"', ['command = bash becomes.sh', 'stop_signal = SIGINT']],
    ['script: "env A=1 B=x node worker.js"', ['use = program:../worker.js', '    A=1', '    B=x']],
    ['script: "worker.js", watch: ["sub", "later"], ignore_watch: ["logs", "\\\\.cache"]', []],
  ])('of a process: %s', async (fields, lines) => {
    const { status, config, written } = await create({
      'ecosystem.config.js': `module.exports = { apps: [{ name: "jobs", ${fields} }] };`,
      'package.json': JSON.stringify({
        scripts: {
          queue: 'A=1 node worker.js --queue',
          several: 'node a.js && node b.js',
          piped: 'node a.js | cat',
          typed: 'ts-node src/a.ts',
        },
        devDependencies: { 'ts-node': '10' },
      }),
      'sub/package.json': '{ "scripts": { "start": "node own.js" } }',
      'sub/own.js': 'setInterval(() => {}, 1000);',
      'job.py': '',
      'run.sh': '',
      'waits.sh': '#!/bin/bash\nsleep 1000\n',
      'becomes.sh': '#!/bin/bash\ncd /\nexec sleep 1000\n',
      'sub/a.txt': '',
    });
    expect(status).toBe(0);
    expect(config).toContain('[process:jobs]');
    for (const line of lines) expect(config).toContain(`\n${line}`);
    if (fields.includes('watch')) {
      expect(written['etc/develop.ini']).toContain('reload_files =\n    %(here)s/../sub\n    %(here)s/../later');
      expect(written['etc/develop.ini']).toContain('reload_ignore =\n    logs\n    .cache');
    }
  });

  test('pm2 settings that a server cannot have are reported', async () => {
    const { stdout, config } = await app('name: "a", script: "server.js", instances: -1, node_args: "--inspect=0"');
    for (const note of [
      /instances: -1 is \d+ on this machine; pm2 counts the CPUs again on each/,
      /node_args: NODE_OPTIONS cannot contain --inspect=0/,
    ]) {
      expect(stdout).toMatch(note);
      expect(config).toMatch(note);
    }
  });

  test('env_file, which pm2 does not read, is not an environment', async () => {
    const { stdout } = await app('name: "a", script: "worker.js", env_file: ".env"');
    expect(stdout).toContain('a: env_file: pm2 has no such key; paster reads env_file of a section');
    const { status, stderr } = await app('name: "a", script: "worker.js", env_file: ".env"', 'env=file');
    expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining('no app has env_file') });
  });

  test('a program that runs at certain times and ends is a task', async () => {
    const { config } = await app('name: "nightly", script: "worker.js", cron_restart: "0 3 * * *", autorestart: false');
    expect(config).toContain('[task:nightly]\nschedule = 0 3 * * *\nuse = program:../worker.js');
    const once = await app('name: "once", script: "worker.js", autorestart: false');
    expect(once.config).toContain(
      'also with paster run, write its schedule and remove the "# " of its lines.\n# [task:once]\n# schedule = ',
    );
  });

  test('a program that is restarted at certain times gets a task that restarts it', async () => {
    const { config } = await app('name: "w", script: "worker.js", cron_restart: "0 4 * * *"');
    expect(config).toContain('[task:restart-w]\nschedule = 0 4 * * *\ncommand = sh -c ');
    const taken = await app(
      'name: "w", script: "worker.js", cron_restart: "0 4 * * *" }, { name: "restart-w", script: "worker.js"',
    );
    expect(taken.config).toContain('[process:restart-w-2]');
    const web = await app('name: "web", script: "server.js", cron_restart: "0 4 * * *"');
    expect(web.config).toContain(
      '[task:restart-web]\nschedule = 0 4 * * *\ncommand = npx paster control "%(__file__)s" reload',
    );
  });

  test('keys without a counterpart are reported, on the terminal and in the file', async () => {
    const { stdout, config } = await create({
      'ecosystem.config.js':
        'module.exports = { apps: [{ name: "web", script: "server.js", namespace: "a", merge_logs: false, pmx: false, vizion: true, bogus: 1 }], deploy: {} };',
    });
    for (const text of [stdout, config]) {
      expect(text).toContain('namespace: choose with --only');
      expect(text).toContain('vizion: not needed');
      expect(text).toContain('bogus: pm2 has no such key');
      expect(text).toContain('deploy: paster copies no files');
      expect(text).not.toContain('merge_logs');
    }
  });

  test("pm2's own file server is commented out", async () => {
    const { config, stdout } = await app('name: "site", script: "serve", env: { PM2_SERVE_PATH: "dist" }');
    expect(config).toContain('\n# [process:site]\n# command = serve\n');
    expect(stdout).toContain('[process:site], commented out: it is part of pm2');
  });

  test('a command of a package that is not installed is reported', async () => {
    const { stdout } = await create({
      'ecosystem.config.js':
        'module.exports = { apps: [{ name: "site", script: "npm", args: "start", instances: "max" }] };',
      'package.json': '{ "scripts": { "start": "next start" }, "dependencies": { "next": "1" } }',
    });
    expect(stdout).toContain('site: there is no node_modules/.bin/next yet: install the packages');
  });

  test('a limit that cannot be read is reported', async () => {
    const { status, stdout, config } = await create({
      'ecosystem.config.js':
        'module.exports = { apps: [{ name: "web", script: "server.js", max_memory_restart: "1.5G", kill_timeout: "5s", listen_timeout: 0 }] };',
    });
    expect(status).toBe(0);
    for (const text of [stdout, config]) {
      expect(text).toContain('max_memory_restart: "1.5G" is not a size such as 300M, at most 1024G');
      expect(text).toContain('kill_timeout: "5s" is not a number of milliseconds above 0');
      expect(text).toContain('listen_timeout: 0 is not a number of milliseconds above 0');
    }
  });

  test.each([
    [
      'script: "server.js", instances: 5000',
      'workers = 1024',
      'instances: 5000 is too many, workers may be 1024 at most',
    ],
    ['script: "server.js", instances: "two"', 'workers = auto', 'instances: "two" is not a whole number'],
    [
      'script: "worker.js", instances: 300, exec_mode: "fork"',
      'instances = 256',
      'instances: 300 is too many, instances of a process may be 256 at most',
    ],
  ])('an invalid number of processes is reported: %s', async (fields, line, note) => {
    const { status, stdout, config, directory } = await app(`name: "a", ${fields}`);
    expect({ status, lines: config.split('\n') }).toEqual({ status: 0, lines: expect.arrayContaining([line]) });
    expect(stdout).toContain(`  a: ${note}`);
    expect(config).toContain(`# ${note}`);
    const checked = await runHere(['check', 'etc/config.ini'], { cwd: directory });
    expect(checked).toMatchObject({ status: 0, stderr: '' });
  });
});
