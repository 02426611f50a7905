/** `paster shell`: a prompt with the application loaded, run as a script and at a terminal. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { type Finished, needProgram, Program, paster, ROOT } from '../helpers/programs/program.ts';

const FILES = {
  'x.ini': '[DEFAULT]\nname = world\n[app:main]\nuse = call:./app.js:make\ngreeting = hello\n',
  'app.js': `export function make(globalConf, { greeting }) {
  const app = async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    res.setHeader('x-type', req.headers['content-type'] ?? 'none');
    res.statusCode = req.url === '/missing' ? 404 : 200;
    res.end(JSON.stringify({ method: req.method, url: req.url, text: greeting + ' ' + globalConf.name, body }));
  };
  app.ready = async () => console.error('ready');
  app.close = async () => console.error('closed');
  return app;
}
`,
};

const shell = (input: string, args: readonly string[] = []): Promise<Finished> =>
  paster(['shell', 'x.ini', ...args], { cwd: temporaryDirectory(FILES), input }).finished();

test('a script has app, config and request, and each line waits for the previous one', async () => {
  const { stdout, stderr, status } = await shell(`
const answer = await request('/missing?q=1', { json: { a: 1 } })
answer.status
answer.headers['x-type']
answer.json().body
(await request('/missing')).status
typeof app
config.localConf.greeting +
  config.globalConf.name
`);
  expect(stdout).toBe(`undefined\n200\n'application/json'\n'{"a":1}'\n404\n'function'\n'helloworld'\n`);
  expect(stderr).toBe('ready\nclosed\n');
  expect(status).toBe(0);
});

test('name=value and another section are used', async () => {
  const { stdout } = await shell("(await request('/')).json().text", ['name=you']);
  expect(stdout).toBe("'hello you'\n");
});

test('a line that throws does not end the shell, but the exit status reports it', async () => {
  const { stdout, status } = await shell("throw new Error('on purpose')\n1 + 1\n");
  expect(stdout).toContain('Uncaught Error: on purpose');
  expect(stdout).toContain('2\n');
  expect(status).toBe(1);
});

test('an error in the file is reported in one line', async () => {
  const { stdout, stderr, status } = await shell('1', ['-n', 'nope']);
  expect(stdout).toBe('');
  expect(stderr).toContain('there is no section [app:nope]');
  expect(status).toBe(2);
});

test('a terminal shows a greeting and a prompt, and keeps a history', async () => {
  const script = needProgram('script');
  const directory = temporaryDirectory(FILES);
  const command = `${process.execPath} ${join(ROOT, 'bin/paster.js')} shell x.ini`;
  const program = new Program(script, ['-qefc', command, '/dev/null'], {
    cwd: directory,
    env: { PASTER_HISTORY: join(directory, 'history'), TERM: 'dumb' },
    // The end of the input would end the prompt a second time, which does not wait for the history.
    typing: true,
  });
  program.type("config.localConf.greeting + '!'\n.exit\n");
  const { stdout } = await program.finished();
  expect(stdout).toContain('x.ini: app, config, await request(');
  expect(stdout).toContain('paster> ');
  expect(stdout).toContain("'hello!'");
  expect(readFileSync(join(directory, 'history'), 'utf8')).toContain('config.localConf.greeting');
});

test.each([
  ['() => process.exit(0)', /^paster: x\.ini:1:1: \[app:main\] .* ended the process while it was loaded\n$/],
  ['() => new Promise(() => {})', /^paster: x\.ini:1:1: \[app:main\] .* never becomes ready \(/],
])('an application that does not load is reported (%s)', async (make, message) => {
  const files = { 'x.ini': '[app:main]\nuse = call:./a.mjs:make\n', 'a.mjs': `export const make = ${make};\n` };
  const { stderr, status } = await paster(['shell', 'x.ini'], { cwd: temporaryDirectory(files) }).finished();
  expect(stderr).toMatch(message);
  expect(status).toBe(1);
});
