/** Installs a program of a product in its own directory, with the packages and the build that `npm run test:tools` has made. */
import { cpSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toolDirectory } from '../../../scripts/test-tools/tools.ts';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { ROOT } from '../../helpers/programs/program.ts';
import type { Application } from './catalogue.ts';

/** The prefix below which `below.ini` mounts the program. */
export const PREFIX = '/shop';

/** A port that no program opens when it runs under paster. */
const UNUSED_PORT = 3000;

const HTTP = 'use = npm:paster#http\nport = 0';
const FASTCGI = 'use = npm:paster#fastcgi\nsocket = app.sock';

/** @param directory default: a new one */
export function install({ product, built, below, manifest }: Application, directory = temporaryDirectory()): string {
  const installed = toolDirectory({ name: product });
  cpSync(join(ROOT, 'test/fixtures/products', product), directory, { recursive: true });
  for (const each of [built, below?.built]) {
    if (each !== undefined) cpSync(join(installed, each), join(directory, each), { recursive: true });
  }
  if (manifest) writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest));
  symlinkSync(join(installed, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}

/** Installs a program with an INI file for each kind of test, one of which mounts the program below PREFIX. */
export function installWithIni(application: Application): string {
  const directory = install(application);
  const main = appSection('main', application);
  const workers = application.isExclusive ? 'workers = 1\nreload_exclusive = true' : 'workers = 2';
  writeFiles(directory, {
    'http.ini': `${main}[server:main]\n${HTTP}\n${application.isExclusive ? 'reload_exclusive = true\n' : ''}`,
    'workers.ini': `${main}[server:main]\n${HTTP}\n${workers}\n`,
    'fastcgi.ini': `${main}[server:main]\n${FASTCGI}\n`,
    'servers.ini': `${main}[server:http]\n${HTTP}\n[server:fastcgi]\n${FASTCGI}\n`,
    'below.ini': `${mountedSection(application)}[server:main]\n${HTTP}\n${environmentOf(application)}`,
  });
  return directory;
}

function appSection(name: string, { program, argsFor, ready }: Application): string {
  const args = argsFor ? `args = ${argsFor(UNUSED_PORT).join(' ')}\n` : '';
  return `[app:${name}]\nuse = listen:./${program}\n${args}${ready === undefined ? '' : `ready = ${ready}\n`}`;
}

function mountedSection(application: Application): string {
  const { below = { mount: 'stripped' } } = application;
  const program = appSection('program', { ...application, ...below });
  return `[composite:main]\nuse = npm:paster#urlmap\n${PREFIX} = program\n${program}mount = ${below.mount}\n`;
}

function environmentOf({ below }: Application): string {
  const variables = Object.entries(below?.environment ?? {}).map(([name, value]) => `  ${name}=${value}\n`);
  return variables.length === 0 ? '' : ['environment =\n', ...variables].join('');
}
