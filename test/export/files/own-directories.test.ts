/** What `paster export` prints without `--standalone`, in a copy of Debian's own configuration of each web server. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { Program, requireProgram } from '../../helpers/programs/program.ts';
import { noteSkipped } from '../../helpers/skipped.ts';
import { nginxTemporaryPaths, offPort80 } from '../../helpers/web-servers/nginx.ts';
import { exported, ini, project } from '../site.ts';

interface Server {
  readonly program: string;
  /** The directory of its configuration in /etc. */
  readonly own: string;
  /** The path of the site in that directory. */
  readonly site: string;
  /** @returns The arguments with which the server checks the copy. */
  check(copy: string, site: string): readonly string[];
}

const SERVERS: Readonly<Record<string, Server>> = {
  nginx: {
    program: 'nginx',
    own: '/etc/nginx',
    site: 'sites-enabled/shop',
    check(copy) {
      writeFileSync(join(copy, 'conf.d/temporary-paths.conf'), nginxTemporaryPaths(copy));
      return ['-t', '-c', join(copy, 'nginx.conf')];
    },
  },
  lighttpd: {
    program: 'lighttpd',
    own: '/etc/lighttpd',
    site: 'conf-enabled/90-shop.conf',
    check: (copy) => ['-tt', '-f', join(copy, 'lighttpd.conf')],
  },
  apache: { program: 'apache2', own: '/etc/apache2', site: 'sites-enabled/shop.conf', check: enableModules },
  caddy: {
    program: 'caddy',
    own: '/etc/caddy',
    site: 'sites/shop',
    check(copy) {
      writeFileSync(join(copy, 'Caddyfile'), 'import sites/*\n');
      return ['validate', '--config', join(copy, 'Caddyfile')];
    },
  },
  haproxy: {
    program: 'haproxy',
    own: '/etc/haproxy',
    site: 'shop.cfg',
    check: (copy) => ['-c', '-f', join(copy, 'haproxy.cfg'), '-f', join(copy, 'shop.cfg')],
  },
};

/** Enables the modules that the site needs, like a2enmod. */
function enableModules(copy: string, site: string): readonly string[] {
  const names = /^# Needs: a2enmod (.*)$/m.exec(site)?.[1]?.split(' ') ?? [];
  for (const file of names.flatMap((name) => [`${name}.load`, `${name}.conf`])) {
    const enabled = join(copy, 'mods-enabled', file);
    if (!existsSync(join(copy, 'mods-available', file)) || existsSync(enabled)) continue;
    symlinkSync(join(copy, 'mods-available', file), enabled);
  }
  return ['-t', '-d', copy];
}

/** Moves the paths of a configuration (its own, logs and pid files) below another directory, so that any user can check it. */
function moved(text: string, own: string, copy: string): string {
  const withoutUser = own === '/etc/nginx' ? text.replace(/^user .*;$/m, '') : text;
  return withoutUser.replaceAll(own, copy).replaceAll(/\/(?:var\/log|var\/run|run)\/[\w.-]+/g, (path) => copy + path);
}

function copyOf(own: string): string {
  const copy = join(temporaryDirectory(), 'own');
  cpSync(own, copy, { recursive: true, verbatimSymlinks: true });
  for (const entry of readdirSync(copy, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    writeFileSync(file, moved(readFileSync(file, 'latin1'), own, copy), 'latin1');
  }
  for (const name of [`var/log/${basename(own)}`, 'var/run', 'run']) mkdirSync(join(copy, name), { recursive: true });
  return copy;
}

describe.each(Object.entries(SERVERS))('%s', (target, { program, own, site: file, check }) => {
  const missing = requireProgram(program) === undefined;
  if (!missing && !existsSync(own)) noteSkipped(own);

  test.skipIf(missing || !existsSync(own)).each([
    ['by FastCGI', 'fastcgi', []],
    ['by HTTP, below a prefix', 'http', ['--prefix', '/proxy', '--server-name', 'shop.example.org']],
    ['in front of several hosts', 'fastcgi', ['--host', '10.0.0.5', '--host', '10.0.0.6:6000']],
  ])('accepts the exported site: %s', async (_what, kind, options) => {
    const directory = project(`use = npm:paster#${kind}\nhost = 127.0.0.1\nport = 5050`);
    const site = await exported(target, ini(directory), ...options);
    const text = target === 'nginx' ? await offPort80(site) : site;
    const copy = copyOf(own);
    for (const folder of ['sites-enabled', 'sites']) rmSync(join(copy, folder), { recursive: true, force: true });
    mkdirSync(join(copy, file, '..'), { recursive: true });
    writeFileSync(join(copy, file), text);
    const logs = { APACHE_LOG_DIR: copy, APACHE_RUN_DIR: copy, APACHE_LOCK_DIR: copy, APACHE_PID_FILE: `${copy}/pid` };
    const env = {
      PATH: `${process.env['PATH']}:/usr/sbin`,
      HOME: directory,
      ...logs,
      APACHE_RUN_USER: 'www-data',
      APACHE_RUN_GROUP: 'www-data',
    };
    const run = new Program(program, check(copy, text), { cwd: copy, env });
    const { status } = await run.finished();
    expect({ status, output: run.output }).toMatchObject({
      status: 0,
      output: expect.not.stringMatching(/\[warn(?:ing)?\]/i),
    });
  });
});
