/** What relative paths in settings are relative to: the directory of the same file for each setting of each built-in part. */
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Setting } from '../../src/config/settings/setting.ts';
import { factoryContext, loadTarget } from '../../src/deploy/compose.ts';
import { loadContext } from '../../src/deploy/load.ts';
import { KINDS, type PartKind } from '../../src/deploy/part-kinds.ts';
import { declaredSchema } from '../../src/deploy/schema.ts';
import { pathSetting } from '../../src/deploy/sections/setting-paths.ts';
import { validateServer } from '../../src/deploy/server/server-section.ts';
import { processSettings } from '../../src/deploy/server/server-settings.ts';
import { LoadSession } from '../../src/deploy/session.ts';
import { validateSettings } from '../../src/deploy/validate.ts';
import { temporaryDirectory, writeFiles } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { MANIFEST } from '../helpers/programs/installed.ts';
import { freePort, serve } from '../helpers/programs/program.ts';
import { makeCertificate } from '../helpers/web-servers/certificate.ts';

interface Declared {
  readonly kind: PartKind;
  readonly part: string;
  readonly name: string;
  readonly setting: Setting;
}

const KIND_NAMES = Object.keys(KINDS) as PartKind[];

async function declaredSettings(): Promise<Declared[]> {
  const found: Declared[] = [];
  for (const [group, parts] of Object.entries(MANIFEST.paster)) {
    const kind = KIND_NAMES.find((each) => KINDS[each].groups.flat().some((protocol) => protocol === group));
    if (kind === undefined) continue;
    for (const part of Object.keys(parts)) {
      const made = await loadTarget(factoryContext(await loadContext(kind, `npm:paster#${part}`, {})));
      const declarations = {
        ...(kind === 'server' ? processSettings.declarations : {}),
        ...declaredSchema(made)?.declarations,
      };
      for (const [name, setting] of Object.entries(declarations)) found.push({ kind, part, name, setting });
    }
  }
  return found;
}

const ALL = await declaredSettings();
const PATHS = ALL.filter(({ setting }) => setting.type.mapPaths);

/** A value with one path. In `listen`, `reload_ignore` and `preload` not every word is a path. */
function written({ name }: Declared, path: string): string {
  if (name === 'listen') return `unix:${path}`;
  const needsDot = ['reload_ignore', 'preload'].includes(name);
  return needsDot && !/^(?:\.|\/|%)/.test(path) ? `./${path}` : path;
}

/** The settings that the factory would get, for a section with the setting and others that are required. */
async function read(file: string, { kind, part, name }: Declared): Promise<unknown> {
  const context = factoryContext(await loadContext(kind, `config:${file}`, { name: 'x' }));
  const made = await loadTarget(context);
  if (kind !== 'server') return Object(await validateSettings(made, context))[name];
  const { process, own } = await validateServer(made, context, {}, new LoadSession());
  return Object({ ...process, ...Object(own) })[name] ?? `${part} has no ${name}`;
}

function section({ kind, part, name }: Declared, value: string | undefined): string {
  const needed = ALL.filter((each) => each.kind === kind && each.part === part && each.name !== name);
  const lines = needed.flatMap((each) =>
    each.setting.required ? [`${each.name} = ${each.setting.example ?? 'x'}`] : [],
  );
  const own = value === undefined ? [] : [`${name} = ${value}`];
  return `[${kind}:x]\nuse = npm:paster#${part}\n${[...own, ...lines].join('\n')}\n`;
}

describe.each(PATHS.map((each) => [`${each.kind} ${each.part}: ${each.name}`, each] as const))(
  '%s',
  (_title, declared) => {
    const { kind, name } = declared;

    test.each([
      ['in its own section', 'files/a', undefined, 'main/files/a'],
      ['in the section of another file', undefined, 'files/a', 'base/files/a'],
      ['in both', 'files/a', 'files/b', 'main/files/a'],
      ['upwards', '../files/a', undefined, 'files/a'],
      ['%(here)s', '%(here)s/files/a', undefined, 'main/files/a'],
      ['%(here)s of another file', undefined, '%(here)s/files/a', 'base/files/a'],
      ['an absolute path', '/srv/a', undefined, '/srv/a'],
    ])('%s', async (_what, main, base, expected) => {
      const write = (value: string | undefined) => value && written(declared, value);
      const directory = temporaryDirectory({
        'base/x.ini': section(declared, write(base)),
        'main/x.ini': `[${kind}:x]\nuse = config:../base/x.ini#x\n${main === undefined ? '' : `${name} = ${write(main)}\n`}`,
      });
      const path = expected.startsWith('/') ? expected : join(directory, expected);
      const value = await read(join(directory, 'main/x.ini'), declared);
      expect([value].flat()).toEqual([written(declared, path)]);
      if (name === 'listen' || [value].flat() !== value) return;
      const context = factoryContext(await loadContext(kind, `config:${join(directory, 'main/x.ini')}`, { name: 'x' }));
      expect(pathSetting(context, name)).toBe(path);
    });
  },
);

/** Their help mentions files that they do not name. The globs of `reload_files` follow the same rule (test/integration/reload/reload.test.ts). */
const NO_PATHS = [
  'reload_files',
  'script',
  'enabled',
  'cache_max_age',
  'index',
  'precompressed',
  'format',
  'set_logger_level',
  'setup_console_handler',
];

test('each setting whose help mentions a file or directory is a path, or is listed as an exception', () => {
  const texts = ALL.filter(
    ({ setting }) => !setting.type.mapPaths && /\b(?:file|directory|directories)\b/i.test(setting.help),
  );
  expect([...new Set(texts.map(({ name }) => name))].sort()).toEqual([...NO_PATHS].sort());
});

const INI = `[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#http\nworkers = 1\n`;

/** A project with a certificate next to its INI file `etc/x.ini`. */
function httpsProject(): { readonly cwd: string; readonly certificate: string; readonly port: Promise<number> } {
  const cwd = temporaryDirectory();
  const port = freePort();
  mkdirSync(join(cwd, 'etc'));
  makeCertificate(join(cwd, 'etc'));
  return { cwd, certificate: join(cwd, 'etc/both.pem'), port };
}

test('check, serve, HUP and export read the certificate next to the INI file', async () => {
  const { cwd, certificate, port } = httpsProject();
  writeFiles(cwd, { 'etc/x.ini': `${INI}port = ${await port}\nssl_pem = both.pem\n` });
  expect((await runHere(['check', 'etc/x.ini'], { cwd })).stdout).toBe('etc/x.ini: ok\n');
  expect((await runHere(['export', 'nginx', 'etc/x.ini'], { cwd })).stdout).toContain(certificate);
  const program = await serve(['etc/x.ini'], { cwd });
  expect(program.url).toMatch(/^https:/);
  program.child.kill('SIGHUP');
  await program.says(/^reloaded$/m);
});

test('a certificate that exists only in the working directory is an error that names both places', async () => {
  const { cwd, certificate, port } = httpsProject();
  writeFiles(cwd, { 'etc/x.ini': `${INI}port = ${await port}\nssl_pem = both.pem\n` });
  renameSync(certificate, join(cwd, 'both.pem'));
  for (const args of [
    ['check', 'etc/x.ini'],
    ['serve', 'etc/x.ini'],
    ['export', 'nginx', 'etc/x.ini'],
  ]) {
    const { status, stdout, stderr } = await runHere(args, { cwd });
    expect(status).not.toBe(0);
    expect(stdout + stderr).toContain(
      `etc/x.ini:7:1: [server:main] ssl_pem: both.pem is relative to the INI file, but ${certificate} does not exist and ` +
        `${cwd}/both.pem does (write %(here)s/../both.pem for that one)`,
    );
  }
});

test('a socket whose directory exists only in the working directory is an error, and --socket is relative to it', async () => {
  const cwd = temporaryDirectory({ 'etc/x.ini': `${INI}socket = var/app.sock\n`, 'var/log': '' });
  const { stderr } = await runHere(['serve', 'etc/x.ini'], { cwd });
  expect(stderr).toContain(
    `[server:main] socket: var/app.sock is relative to the INI file, but ${cwd}/etc/var does not`,
  );
  const program = await serve(['etc/x.ini', '--socket', 'var/app.sock'], { cwd });
  expect(program.url).toBe(`http://unix:${cwd}/var/app.sock`);
});
