/** The etc/ files that MapProxy shipped in 2011 run unchanged, with a replacement for its package. */
import { cpSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { eventually, freePort, needProgram, ROOT, serve } from '../../helpers/programs/program.ts';
import { startLighttpd } from '../../helpers/web-servers/front-end.ts';

function project(): string {
  const directory = temporaryDirectory({
    'node_modules/MapProxy/package.json': JSON.stringify({
      name: 'MapProxy',
      type: 'module',
      paster: { 'paste.app_factory': { app: './app.js:makeApp' } },
    }),
    'node_modules/MapProxy/app.js': `export const makeApp = (globalConf, localConf) => (req, res) => {
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify({ url: req.url, base: req.baseUrl ?? '', localConf, pid: process.pid }));
};\n`,
    'etc/mapproxy.yaml': 'services: {}\n',
  });
  cpSync(join(ROOT, 'test/data/mapproxy'), join(directory, 'etc'), { recursive: true });
  writeFiles(directory, { 'var/.keep': '' });
  return directory;
}

test('develop.ini runs over HTTP', async () => {
  const directory = project();
  const port = await freePort();
  const program = await serve(['etc/develop.ini', '--reload', '--port', String(port)], { cwd: directory });
  expect(program.url).toBe(`http://0.0.0.0:${port}`);
  const answer = (await (await fetch(`http://127.0.0.1:${port}/service?x=1`)).json()) as Record<string, unknown>;
  expect(answer).toMatchObject({
    url: '/service?x=1',
    localConf: { mapproxy_conf: `${directory}/etc/mapproxy.yaml`, log_conf: '', reload_files: `${directory}/etc/*.*` },
  });
  await program.says(/"GET \/service\?x=1 HTTP\/1\.1" 200/);

  // reload_files has a file that the application reads itself.
  writeFiles(directory, { 'etc/mapproxy.yaml': 'services: {demo: }\n' });
  await eventually(async () => {
    const { pid } = (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as { pid: number };
    return pid !== answer['pid'];
  });
});

test('config.ini runs over FastCGI behind Lighttpd at /proxy', async () => {
  const lighttpd = needProgram('lighttpd');
  const directory = project();
  const program = await serve(['etc/config.ini'], { cwd: directory });
  const socket = join(directory, 'var/fcgi-socket');
  expect(program.url).toBe(`fastcgi://unix:${directory}/var/fcgi-socket`);
  // umask = 000
  expect(statSync(socket).mode & 0o777).toBe(0o777);
  expect(program.output).not.toMatch(/minSpare|maxSpare/);
  const { url } = await startLighttpd(lighttpd, { socket }, '/proxy');
  const response = await fetch(`${url}/service?REQUEST=GetCapabilities`);
  expect(await response.json()).toMatchObject({
    url: '/service?REQUEST=GetCapabilities',
    base: '/proxy',
    localConf: { mapproxy_conf: `${directory}/etc/mapproxy.yaml`, log_conf: `${directory}/etc/log_deploy.ini` },
  });
  expect((await program.kill('SIGTERM')).status).toBe(0);
});
