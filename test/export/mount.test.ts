/** `paster export --prefix` for an application with `mount = whole`: it gets the path as the client sent it. */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { beforeSuite } from '../helpers/programs/lifetime.ts';
import { requireProgram } from '../helpers/programs/program.ts';
import { ask } from '../helpers/requests/ask.ts';
import { runWebServer, serveAll, WEB_SERVERS } from './site.ts';

const APP = `export default (req, res) => res.end(JSON.stringify([req.url, req.baseUrl ?? '']));\n`;

const KINDS = ['http', 'fastcgi'];

function project(): string {
  const servers = KINDS.map(
    (kind) => `[server:${kind}]\nuse = npm:paster#${kind}\nsocket = %(here)s/../var/${kind}.sock\nmode = 666\n`,
  );
  const directory = temporaryDirectory({
    'package.json': '{ "name": "shop", "type": "module" }\n',
    'app.js': APP,
    'etc/config.ini': `[app:main]\nuse = module:../app.js\nmount = whole\n${servers.join('')}`,
  });
  mkdirSync(join(directory, 'var'));
  for (const name of ['', 'var']) chmodSync(join(directory, name), 0o777);
  return directory;
}

let directory: string;
beforeSuite(async () => {
  directory = project();
  await serveAll(directory, KINDS);
});

function inFrontOf(kind: string, target: string): Promise<string> {
  return runWebServer(target, directory, ['--server-section', kind, '--prefix', '/proxy']);
}

describe.each(Object.keys(WEB_SERVERS))('%s', (target) => {
  const missing = requireProgram(target === 'apache' ? 'apache2' : target) === undefined;

  test.skipIf(missing).each(KINDS)('%s: the application gets the path as the client sent it', async (kind) => {
    const url = await inFrontOf(kind, target);
    for (const path of ['/proxy', '/proxy/', '/proxy?q=1', '/proxy/a%20b?q', '/proxy/a//b', '/proxy//a/b//c/d']) {
      // Over HTTP, Lighttpd merges slashes.
      const seen = target === 'lighttpd' && kind === 'http' ? path.replace(/\/+/g, '/') : path;
      expect(JSON.parse(String((await ask(url, path)).body)), path).toEqual([seen, '']);
    }
  });

  test.skipIf(missing)('fastcgi: the prefix in another spelling is kept', async () => {
    const url = await inFrontOf('fastcgi', target);
    const { status, body } = await ask(url, '/%70roxy/a');
    // HAProxy compares the path as the client sent it.
    if (target === 'haproxy') expect(status).toBe(404);
    else expect(JSON.parse(String(body))).toEqual(['/%70roxy/a', '']);
  });
});
