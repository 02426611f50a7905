/** `paster serve` over SCGI, without a web server: flup's names of settings, workers that start and end, and how it stops. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, freePort, paster, serve } from '../../helpers/programs/program.ts';
import { type Answer, ScgiClient } from '../../servers/scgi/client.ts';

const APP = `const VERSION = 'one';
export default async (req, res) => {
  if (req.url === '/slow') {
    res.write('begun ');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  res.end(VERSION + ' ' + process.pid);
};
`;

function project(use: string, settings = ''): { cwd: string; socket: string } {
  const cwd = temporaryDirectory({ 'app.js': APP, 'package.json': '{"type": "module"}' });
  const socket = join(cwd, 's');
  writeFileSync(
    join(cwd, 'x.ini'),
    `[app:main]\nuse = module:./app.js\n[server:main]\nuse = ${use}\nsocket = ${socket}\n${settings}\n`,
  );
  return { cwd, socket };
}

async function ask(to: string | number, path = '/'): Promise<Answer> {
  return (await ScgiClient.connect(to)).ask({ REQUEST_URI: path });
}

test('npm:paster#scgi serves in one process, and TERM finishes requests in flight', async () => {
  const { cwd, socket } = project('npm:paster#scgi');
  const program = await serve(['x.ini'], { cwd });
  expect(program.url).toBe(`scgi://unix:${socket}`);
  expect((await ask(socket)).body.toString()).toBe(`one ${program.pid}`);
  const client = await ScgiClient.connect(socket);
  const slow = client.ask({ REQUEST_URI: '/slow' });
  await eventually(() => client.received.includes('begun'));
  expect((await program.kill('SIGTERM')).status).toBe(0);
  expect((await slow).body.toString()).toBe(`begun one ${program.pid}`);
  expect(existsSync(socket)).toBe(false);
});

test('egg:Flup#scgi_fork runs workers and accepts flup’s settings', async () => {
  const { cwd, socket } = project(
    'egg:Flup#scgi_fork',
    'minSpare = 1\nmaxSpare = 5\nmaxChildren = 2\nmaxRequests = 100\nscriptName = /\nallowedServers = 127.0.0.1\numask = 007',
  );
  const program = await serve(['x.ini'], { cwd });
  const [, worker] = /^one (\d+)$/.exec((await ask(socket)).body.toString()) ?? [];
  expect(Number(worker)).toBeGreaterThan(0);
  expect(Number(worker)).not.toBe(program.pid);
  expect(program.output).not.toMatch(/no effect|maxChildren|maxRequests|scriptName|allowedServers/);
});

test('egg:Flup#scgi_thread has no workers, and warns once of each setting about their number', async () => {
  const { cwd } = project('egg:Flup#scgi_thread', 'minSpare = 1\nmaxSpare = 5');
  const program = await serve(['x.ini'], { cwd });
  for (const name of ['minSpare', 'maxSpare']) {
    expect(program.output.match(new RegExp(`${name} has no effect`, 'g'))).toHaveLength(1);
  }
});

test('HUP reloads while the socket stays open, and no connection is refused', async () => {
  const { cwd, socket } = project('egg:Flup#scgi_thread', 'workers = 2');
  const program = await serve(['x.ini'], { cwd });
  const answers: Answer[] = [];
  let isOver = false;
  const load = (async () => {
    while (!isOver) answers.push(await ask(socket));
  })();
  writeFileSync(join(cwd, 'app.js'), APP.replace("'one'", "'two'"));
  program.child.kill('SIGHUP');
  await eventually(() => answers.at(-1)?.body.toString().startsWith('two'));
  isOver = true;
  await load;
  expect(answers.every((answer) => answer.status === 200 && answer.complete)).toBe(true);
});

test('--reload shows the error of a version that does not load, and the next save recovers', async () => {
  const { cwd, socket } = project('npm:paster#scgi');
  await serve(['x.ini', '--reload'], { cwd });
  expect((await ask(socket)).status).toBe(200);
  writeFileSync(join(cwd, 'app.js'), 'throw new Error("broken on purpose");');
  await eventually(async () => (await ask(socket)).body.includes('broken on purpose'));
  writeFileSync(join(cwd, 'app.js'), APP.replace("'one'", "'two'"));
  await eventually(async () => (await ask(socket)).body.toString().startsWith('two'));
});

test('-s scgi serves any application at its own address', async () => {
  const { cwd } = project('npm:paster#http');
  const port = await freePort();
  const program = await serve(['x.ini', '-s', 'scgi', '-p', String(port)], { cwd });
  expect(program.url).toBe(`scgi://127.0.0.1:${port}`);
  expect((await ask(port)).status).toBe(200);
});

test('a public address without allow is refused', async () => {
  const { cwd } = project('npm:paster#http');
  const refused = await paster(['serve', 'x.ini', '-s', 'scgi', '--host', '0.0.0.0'], { cwd }).finished();
  expect(refused).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('SCGI on 0.0.0.0:4000 would accept any client address'),
  });
});
