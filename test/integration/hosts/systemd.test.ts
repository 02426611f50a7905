/** Both interfaces of systemd, emulated in Python: sockets that it passes, and the socket that it reads notifications from. */
import { mkdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { freePort, Program, ROOT, requireProgram, serve } from '../../helpers/programs/program.ts';

const python = requireProgram('python3');
const notify = requireProgram('systemd-notify');
const APP = `module:${ROOT}/test/fixtures/apps/probe.js`;

/** Opens a Unix and a TCP socket as descriptors 3 and 4, and executes the program. */
const ACTIVATE = `
import os, socket, sys
unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()
tcp = socket.socket(); tcp.bind(('127.0.0.1', int(sys.argv[2]))); tcp.listen()
os.dup2(unix.fileno(), 20); os.dup2(tcp.fileno(), 21)
os.dup2(20, 3); os.dup2(21, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='a:b')
os.execv(sys.argv[3], sys.argv[3:])
`;

/** Connects a datagram socket, puts it after a listening one if there is one, and executes the program. */
const CONNECT = `
import os, socket, sys
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); notify.connect(sys.argv[1])
names = ['paster-notify']
os.dup2(notify.fileno(), 20)
if sys.argv[2] == 'tcp':
  tcp = socket.socket(); tcp.bind(('127.0.0.1', 0)); tcp.listen()
  os.dup2(tcp.fileno(), 21)
  os.dup2(21, 3); os.dup2(20, 4)
  names = ['a', 'paster-notify']
else:
  os.dup2(20, 3)
# There is no systemd-notify on this path.
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=':'.join(names), PATH='/nonexistent')
os.execv(sys.argv[3], sys.argv[3:])
`;

/** Prints the datagrams that arrive. */
const RECEIVE = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
print('bound', flush=True)
while True:
  print(s.recv(4096).decode().replace('\\n', ' '), flush=True)
`;

describe.runIf(python)('socket activation', () => {
  test.each([
    ['one process', []],
    ['two workers', ['-w', '2']],
  ])('passed sockets replace the addresses, in order: %s', async (_what, mode) => {
    const directory = temporaryDirectory();
    const socket = join(directory, 'a.sock');
    const port = await freePort();
    const elsewhere = await freePort();
    const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', APP, '-p', String(elsewhere), ...mode];
    const program = new Program(python ?? '', ['-c', ACTIVATE, socket, String(port), ...command]);
    await program.says(/^serving on [\s\S]*^serving on .*\n/m);
    expect(program.stdout.split('\n').slice(1, 3)).toEqual([
      `serving on http://unix:${socket}`,
      `serving on http://127.0.0.1:${port}`,
    ]);
    expect((await fetch(`http://127.0.0.1:${port}/query`)).status).toBe(200);
    expect(await answerOver(socket)).toMatch(/^HTTP\/1\.1 200/);
    await expect(fetch(`http://127.0.0.1:${elsewhere}/query`)).rejects.toThrow();
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });

  test('is refused with a monitor, which could not pass the sockets on', async () => {
    const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', APP, '--monitor-restart'];
    const socket = join(temporaryDirectory(), 'a.sock');
    const program = new Program(python ?? '', ['-c', ACTIVATE, socket, '0', ...command]);
    expect(await program.finished()).toMatchObject({ status: 2, stderr: expect.stringMatching(/Restart=on-failure/) });
  });
});

describe.runIf(python && notify)('sd_notify', () => {
  test('sends ready, alive, reloading, ready again, stopping: in this order', async () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, 'run'));
    const socket = join(directory, 'run/notify');
    const receiver = new Program(python ?? '', ['-c', RECEIVE, socket]);
    await receiver.says(/bound/);
    const program = await serve([APP, '-p', '0', '-w', '1'], {
      env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '200000' },
    });
    await receiver.says(/READY=1[\s\S]*WATCHDOG=1/);
    program.child.kill('SIGHUP');
    await receiver.says(/WATCHDOG=1[\s\S]*RELOADING=1 MONOTONIC_USEC=\d+[\s\S]*READY=1/);
    expect((await program.kill('SIGTERM')).status).toBe(0);
    await receiver.says(/READY=1[\s\S]*READY=1[\s\S]*STOPPING=1/);
  });

  test.each([
    ['alone', ''],
    ['behind a listening socket', 'tcp'],
  ])('uses a descriptor that systemd has connected instead of the program: %s', async (_what, beside) => {
    const socket = join(temporaryDirectory(), 'notify');
    const receiver = new Program(python ?? '', ['-c', RECEIVE, socket]);
    await receiver.says(/bound/);
    const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', APP, '-p', '0', '-w', '1'];
    const program = new Program(python ?? '', ['-c', CONNECT, socket, beside, ...command], {
      env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '200000' },
    });
    await receiver.says(/READY=1[\s\S]*WATCHDOG=1[\s\S]*WATCHDOG=1/);
    const [, url = ''] = await program.says(/^serving on (\S+)$/m);
    expect((await fetch(`${url}/query`)).status).toBe(200);
    program.child.kill('SIGHUP');
    await receiver.says(/RELOADING=1 MONOTONIC_USEC=\d+[\s\S]*READY=1/);
    expect(await program.kill('SIGTERM')).toMatchObject({ status: 0, stderr: expect.not.stringMatching(/systemd/) });
    await receiver.says(/STOPPING=1/);
  });

  test('warns if the program is missing, and serves anyway', async () => {
    const program = await serve([APP, '-p', '0'], { env: { NOTIFY_SOCKET: '/nonexistent', PATH: '/nonexistent' } });
    await program.says(/cannot notify systemd of READY=1: systemd-notify: .*ENOENT/);
    expect((await fetch(`${program.url}/query`)).status).toBe(200);
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });
});

function answerOver(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = createConnection(path, () =>
      socket.end('GET /query HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
    );
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('end', () => resolve(answer)).on('error', reject);
  });
}
