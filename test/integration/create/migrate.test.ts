/** `paster create --from`: the same files start the same processes under pm2 and under paster. */
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { eventually, freePort, Program, paster, requireProgram, requireTool } from '../../helpers/programs/program.ts';

const pm2 = requireTool('pm2');

/** Reports what a process was started with: its arguments, directory and variables. */
const TELL = `
const { writeFileSync } = require('node:fs');
exports.facts = () => ({ args: process.argv.slice(2), cwd: process.cwd(), env: process.env });
exports.write = (name) => writeFileSync(__dirname + '/told/' + name + '-' + process.pid + '.json', JSON.stringify(exports.facts()));
`;
const SERVER = `
const { createServer } = require('node:http');
const { facts } = require('./tell.js');
createServer((req, res) => {
  res.setHeader('X-Path', req.url);
  res.setHeader('X-Pid', process.pid);
  res.statusCode = req.url === '/missing' ? 404 : 200;
  res.end(JSON.stringify(facts()));
}).listen(process.env.PORT, () => process.send?.('ready'));
`;

const project = (port: number, other: number) =>
  temporaryDirectory({
    'told/.keep': '',
    'package.json': '{ "name": "shop", "scripts": { "mail": "QUEUE=mail node sub/worker.js --loud" } }\n',
    'tell.js': TELL,
    'server.js': SERVER,
    'sub/worker.js': "require('../tell.js').write('worker'); setInterval(() => {}, 1000);",
    'jobs.py': `
import json, os, sys, time
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'told', 'jobs-%d.json' % os.getpid())
open(path, 'w').write(json.dumps({'args': sys.argv[1:], 'cwd': os.getcwd(), 'env': dict(os.environ)}))
time.sleep(1000)
`,
    'ecosystem.config.js': `
module.exports = {
  apps: [
    {
      name: 'web', script: './server.js', instances: 2, exec_mode: 'cluster', wait_ready: true, kill_timeout: 3000,
      args: 'one "two three" --four=5', max_memory_restart: '500M',
      env: { PORT: ${port}, GREETING: 'hi', RATE: '100%', NESTED: { a: [1, 2] } },
      env_production: { NODE_ENV: 'production', GREETING: 'good evening; # all' },
    },
    {
      name: 'mailer', script: 'worker.js', cwd: './sub', args: ['--queue', 'a b', "it's"],
      env: { QUEUE: 'mail', NODE_ENV: 'production' },
    },
    { name: 'mail script', script: 'npm', args: 'run mail', env: { NODE_ENV: 'production' } },
    { name: 'jobs', script: 'jobs.py', interpreter: 'python3', args: '-v "x y"', env: { LEVEL: 3, NODE_ENV: 'production' } },
    { name: 'api', script: 'server.js', env: { PORT: '${other}', NODE_ENV: 'production' } },
  ],
};
`,
  });

interface Facts {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Variables of the file, and two of the user who starts it. */
const VARIABLES = ['PORT', 'GREETING', 'RATE', 'NESTED', 'QUEUE', 'LEVEL', 'NODE_ENV', 'HOME', 'FROM_THE_SHELL'];

function compared({ args, cwd, env }: Facts) {
  return { args, cwd, env: Object.fromEntries(VARIABLES.map((name) => [name, env[name]])) };
}

/** What all processes report, once they run. */
async function told(directory: string, ports: readonly number[], processes: number) {
  const responses = await Promise.all(
    ports.map((port) =>
      eventually(async () => {
        const both = ['/', '/missing'].map(async (path) => {
          const response = await fetch(`http://127.0.0.1:${port}${path}`);
          const facts = compared((await response.json()) as Facts);
          return { status: response.status, path: response.headers.get('x-path'), facts };
        });
        return Promise.all(both).catch(() => undefined);
      }),
    ),
  );
  const files = await eventually(() => {
    const names = readdirSync(join(directory, 'told')).filter((name) => name.endsWith('.json'));
    return names.length === processes && names;
  });
  const background = files.map((name) => ({
    name: name.replace(/-\d+\.json$/, ''),
    ...compared(JSON.parse(readFileSync(join(directory, 'told', name), 'utf8'))),
  }));
  return { responses, background: background.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) };
}

describe.skipIf(pm2 === undefined || requireProgram('python3') === undefined)('an ecosystem file', () => {
  test('starts processes with the same responses and the same environment as under pm2', async () => {
    const [port, other] = [await freePort(), await freePort()];
    const underPm2 = project(port, other);
    const env = { PM2_HOME: join(underPm2, '.pm2'), FROM_THE_SHELL: 'yes', CI: 'true' };
    const run = (...args: string[]) =>
      new Program(process.execPath, [pm2 ?? '', ...args], { cwd: underPm2, env }).finished();
    whenOver(async () => void (await run('kill')));
    expect(await run('start', 'ecosystem.config.js', '--env', 'production')).toMatchObject({ status: 0 });
    const expected = await told(underPm2, [port, other], 3);
    expect(expected.responses[0]?.[0]?.facts.env).toMatchObject({ RATE: '100%', FROM_THE_SHELL: 'yes' });
    await run('kill');

    const directory = project(port, other);
    const created = await runHere(['create', '--from', 'ecosystem.config.js'], { cwd: directory });
    expect(created).toMatchObject({ status: 0, stderr: '' });
    const checked = await runHere(['check', 'etc/config.ini'], { cwd: directory });
    expect(checked).toMatchObject({ status: 0, stderr: '' });
    const server = paster(['serve', 'etc/config.ini'], { cwd: directory, env: { FROM_THE_SHELL: 'yes' } });
    await server.says(/^serving on /m);
    const actual = await told(directory, [port, other], 3);
    const same = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll(underPm2, directory));
    expect(actual).toEqual(same(expected));
    const status = await paster(['status', 'etc/config.ini'], { cwd: directory }).finished();
    expect(status.stdout.match(/^worker /gm)).toHaveLength(2);
    await server.kill('SIGTERM');
  });
});

describe('a Procfile', () => {
  test('starts each process with its port, the variables of .env, and its own', async () => {
    const directory = project(0, 0);
    const port = await freePort();
    const files = temporaryDirectory({
      Procfile:
        '# all\nweb: node server.js --port $PORT\n\nworker: QUEUE=mail node sub/worker.js "a b"\nrelease: node migrate.js\n',
      '.env': `PORT=${port}\nGREETING="good evening"\n`,
      'migrate.js': '',
    });
    for (const name of ['tell.js', 'server.js', 'sub/worker.js', 'package.json', 'told/.keep']) {
      cpSync(join(directory, name), join(files, name));
    }
    expect(await paster(['create', '--from', 'Procfile'], { cwd: files }).finished()).toMatchObject({ status: 0 });
    const server = paster(['serve', 'etc/config.ini'], { cwd: files });
    await server.says(/^serving on /m);
    const { responses, background } = await told(files, [port], 1);
    expect(responses[0]?.[0]?.facts).toMatchObject({
      args: ['--port', String(port)],
      cwd: files,
      env: { PORT: String(port), GREETING: 'good evening' },
    });
    expect(background[0]).toMatchObject({
      args: ['a b'],
      env: { PORT: String(port + 100), QUEUE: 'mail', GREETING: 'good evening' },
    });
    expect(existsSync(join(files, 'etc/develop.ini'))).toBe(true);
    await server.kill('SIGTERM');
  });
});

test('starts npm scripts, which end by the signal, and a server with its own port, which reloads', async () => {
  const [port, other] = [await freePort(), await freePort()];
  const cwd = temporaryDirectory({
    'package.json': '{ "scripts": { "jobs": "node prepare.js && node jobs.js", "piped": "node jobs.js | cat" } }',
    'prepare.js': '',
    'jobs.js': "process.on('SIGINT', () => { console.log('jobs end'); process.exit(); }); setInterval(() => {}, 1000);",
    'server.js': SERVER,
    'tell.js': TELL,
    'ecosystem.config.js': `module.exports = { apps: [
      { name: 'web', script: 'server.js', env: { PORT: ${port} } },
      { name: 'api', script: 'server.js', exec_mode: 'fork', env: { PORT: ${other} } },
      { name: 'jobs', script: 'npm', args: 'run jobs' },
      { name: 'piped', script: 'npm', args: 'run piped' },
    ] };`,
  });
  expect(await paster(['create', '--from', 'ecosystem.config.js'], { cwd }).finished()).toMatchObject({ status: 0 });
  const server = paster(['serve', 'etc/config.ini'], { cwd });
  await server.says(/^serving on /m);
  const pid = async () => (await fetch(`http://127.0.0.1:${other}/`)).headers.get('x-pid');
  const before = await eventually(() => pid().catch(() => undefined));
  server.child.kill('SIGHUP');
  await server.says(/^\[process:api\] reloaded/m);
  expect(await eventually(() => pid().catch(() => undefined))).not.toBe(before);
  expect(server.stderr).not.toContain('EADDRINUSE');
  await server.kill('SIGTERM');
  expect(server.stdout.match(/^jobs end$/gm)).toHaveLength(2);
});
