/** `paster export --standalone` by a user who is not root: serving, exporting, and running the web server. */
import { chmodSync, chownSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort, Program, ROOT, requireProgram } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { untilAnswering } from '../../helpers/web-servers/web-server.ts';
import { ini, project, WEB_SERVERS } from '../site.ts';

const PASTER = join(ROOT, 'bin/paster.js');
/** The IDs of the user nobody and the group nogroup. */
const NOBODY = 65_534;

/** Runs a program as an ordinary user: root switches to nobody, other users are ordinary already. */
function ordinary(directory: string, file: string, args: readonly string[]): Program {
  const env = { PATH: `${process.env['PATH']}:/usr/sbin`, HOME: directory };
  if (process.getuid?.() !== 0) return new Program(file, args, { env });
  const who = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'];
  return new Program('setpriv', [...who, file, ...args], { env });
}

function giveAway(directory: string): void {
  if (process.getuid?.() !== 0) return;
  for (const name of ['.', ...readdirSync(directory, { recursive: true, encoding: 'utf8' })]) {
    chownSync(join(directory, name), NOBODY, NOBODY);
  }
  chmodSync(directory, 0o755);
}

const PROGRAMS: Readonly<Record<string, string>> = { apache: 'apache2' };

for (const [target, { file, command }] of Object.entries(WEB_SERVERS)) {
  const missing = requireProgram(PROGRAMS[target] ?? target) === undefined;
  test.skipIf(missing)(`${target} runs its whole file, and keeps to its directory`, async () => {
    const directory = project('use = npm:paster#fastcgi\nsocket = %(here)s/../var/app.sock');
    giveAway(directory);
    const server = ordinary(directory, process.execPath, [PASTER, 'serve', ini(directory)]);
    await server.says(/^serving on /m);
    const port = await freePort();
    const output = join(directory, file);
    const whole = ['--standalone', '--listen', `127.0.0.1:${port}`, '-o', output];
    const args = [PASTER, 'export', target, ini(directory), ...whole];
    expect(await ordinary(directory, process.execPath, args).finished()).toMatchObject({ status: 0, stderr: '' });
    const [name = '', ...options] = command;
    await untilAnswering(port, ordinary(directory, name, [...options, output]));
    const origin = `http://127.0.0.1:${port}`;
    expect((await ask(origin, '/query?a=1')).status).toBe(200);
    expect((await ask(origin, '/static/site.css?v=1')).status).toBe(200);
    expect(readdirSync(join(directory, 'var'))).toContain(target);
  });
}
