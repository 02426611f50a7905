/** A project that the tests export, serve and request through a real web server. */
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { eventually, freePort, Program, ROOT, serve } from '../helpers/programs/program.ts';
import { untilAnswering } from '../helpers/web-servers/web-server.ts';

const PROBE = `${join(ROOT, 'test/fixtures/apps/probe.js')}:makeProbe`;

/** Settings of servers that the tests export. */
export const FASTCGI =
  'use = npm:paster#fastcgi\nsocket = %(here)s/../var/app.sock\nworkers = 2\ngraceful_timeout = 20';
export const HTTP = 'use = npm:paster#http\nport = 8085\ngraceful_timeout = 20';

/** How each web server runs a standalone file in the foreground, and the name of that file. */
export const WEB_SERVERS: Readonly<Record<string, { readonly file: string; readonly command: readonly string[] }>> = {
  nginx: { file: 'nginx.conf', command: ['nginx', '-c'] },
  lighttpd: { file: 'lighttpd.conf', command: ['lighttpd', '-D', '-f'] },
  apache: { file: 'apache.conf', command: ['apache2', '-DFOREGROUND', '-f'] },
  caddy: { file: 'Caddyfile', command: ['caddy', 'run', '--config'] },
  haproxy: { file: 'haproxy.cfg', command: ['haproxy', '-f'] },
};

/** A directory with etc/config.ini, static files, and room for sockets; other users may read it. */
export function project(server: string, extra = '', factory = PROBE): string {
  return projectWithServers({ main: server }, extra, factory);
}

/** The same with a section for each server; all of them serve one application. */
export function projectWithServers(servers: Readonly<Record<string, string>>, extra = '', factory = PROBE): string {
  const directory = temporaryDirectory({
    'package.json': '{ "name": "shop", "dependencies": { "paster": "1" } }\n',
    'static/site.css': 'body { color: teal }\n',
    'static/.secret': 'hidden\n',
  });
  for (const name of ['etc', 'var']) mkdirSync(join(directory, name));
  for (const name of ['', 'var']) chmodSync(join(directory, name), 0o777);
  const app = `[app:probe]\nuse = call:${factory}\n`;
  const map = '[composite:main]\nuse = npm:paster#urlmap\n/static = files\n/ = probe\n';
  const files = '[app:files]\nuse = npm:paster#static\ndocument_root = %(here)s/../static\n';
  const sections = Object.entries(servers).map(([name, settings]) => `[server:${name}]\n${settings}\n`);
  writeFileSync(join(directory, 'etc/config.ini'), [map, app, files, ...sections, extra].join('\n'));
  return directory;
}

export function ini(directory: string): string {
  return join(directory, 'etc/config.ini');
}

/** Runs `paster export` and returns what it prints. */
export async function exported(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runHere(['export', ...args]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** Runs `paster export`, which must refuse, and returns its message. */
export async function refused(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runHere(['export', ...args]);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  return stderr;
}

/** Serves the project, exports a standalone file for a web server, and runs that. @returns Its root URL. */
export async function runExported(
  target: string,
  directory: string,
  args: readonly string[] = [],
  file?: string,
): Promise<string> {
  await serve([ini(directory)]);
  return runWebServer(target, directory, args, file);
}

/** Serves the project with each of these sections. */
export async function serveAll(directory: string, servers: readonly string[]): Promise<void> {
  const program = await serve([ini(directory), ...servers.flatMap((name) => ['--server-name', name])]);
  await eventually(() => program.output.match(/^serving on /gm)?.length === servers.length);
}

/** Exports a standalone file for a web server, and runs that. @returns Its root URL. */
export async function runWebServer(
  target: string,
  directory: string,
  args: readonly string[] = [],
  file: string = WEB_SERVERS[target]?.file ?? '',
): Promise<string> {
  const { command = [] } = WEB_SERVERS[target] ?? {};
  const output = join(directory, file);
  const port = await freePort();
  const state = mkdtempSync(join(directory, 'state-'));
  const whole = ['--standalone', '--listen', `127.0.0.1:${port}`, '--state-dir', state, '-o', output];
  expect(await exported(target, ini(directory), ...whole, ...args)).toBe('');
  chmodSync(state, 0o777);
  const [name = '', ...options] = command;
  const path = `${process.env['PATH']}:/usr/sbin`;
  const program = new Program(name, [...options, output], { env: { PATH: path, HOME: state } });
  await untilAnswering(port, program);
  return `http://127.0.0.1:${port}`;
}
