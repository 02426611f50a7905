/** `paster export systemd`, checked by systemd itself. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeFiles } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { Program, requireProgram } from '../../helpers/programs/program.ts';
import { exported, FASTCGI, HTTP, ini, project, refused } from '../site.ts';

describe('systemd', () => {
  const missing = requireProgram('systemd-analyze') === undefined;

  test.skipIf(missing).each([
    ['a Unix socket', FASTCGI],
    ['TCP', HTTP],
  ])('systemd accepts both units: %s', async (_what, server) => {
    const directory = project(server);
    const output = join(directory, 'shop.service');
    expect(await exported('systemd', ini(directory), '--user', 'daemon', '-o', output)).toBe('');
    const socket = output.replace('.service', '.socket');
    const verify = new Program('systemd-analyze', ['verify', '--man=no', output, socket]);
    expect(await verify.finished()).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  test('limits and permissions come from the INI file', async () => {
    const directory = project(`${FASTCGI}\nmode = 600\nsocket_owner = www-data`);
    const text = await exported('systemd', ini(directory), 'level=info');
    expect(text).toContain(`ListenStream=${join(directory, 'var/app.sock')}\n`);
    for (const line of ['SocketMode=0600', 'SocketUser=www-data', 'TimeoutStopSec=30', 'Type=notify']) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).toMatch(new RegExp(`^ExecStart=.* "serve" "${ini(directory)}" "level=info"$`, 'm'));
    expect(text).toMatch(/^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
  });

  test.each([
    ['252 (252.39-1~deb12u2)', undefined],
    ['257 (257.8-1~deb13u2)', 'OpenFile=/run/systemd/notify:paster-notify:graceful'],
  ])('the unit opens the notify socket for paster if systemd can: systemd %s', async (version, line) => {
    const directory = project(FASTCGI);
    writeFiles(directory, { 'bin/systemctl': `#!/bin/sh\necho "systemd ${version}"\n` });
    chmodSync(join(directory, 'bin/systemctl'), 0o755);
    const PATH = `${join(directory, 'bin')}:${process.env['PATH']}`;
    const { stdout } = await runHere(['export', 'systemd', ini(directory)], { env: { PATH } });
    expect(/^OpenFile=.*$/m.exec(stdout)?.[0]).toBe(line);
  });

  test.each([
    ['the user of the service owns the socket', '', ['SocketUser=shop']],
    ['the socket may have another group', 'socket_group = www-data', ['SocketUser=shop', 'SocketGroup=www-data']],
    ['the INI file may name another owner', 'socket_owner = root', ['SocketUser=root']],
  ])('%s', async (_what, setting, expected) => {
    const text = await exported('systemd', ini(project(`${FASTCGI}\n${setting}`)), '--user', 'shop');
    expect(text.match(/^Socket(User|Group)=.*$/gm)).toEqual(expected);
  });

  test('a TCP address has no owner', async () => {
    expect(await exported('systemd', ini(project(HTTP)), '--user', 'shop')).not.toMatch(/^Socket/m);
  });

  test('every value stays one word, whatever characters it has', async () => {
    const directory = project(FASTCGI);
    const text = await exported('systemd', ini(directory), 'a=%n "$HOME\\');
    expect(text).toContain('"a=%%n \\"$$HOME\\\\"\n');
    expect(await refused('systemd', ini(directory), 'a=1\nExecStartPre=/bin/false')).toContain('cannot be written');
    expect(await refused('systemd', ini(directory), '--user', 'a\nb')).toContain('--user');
  });
});
