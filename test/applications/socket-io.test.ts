import { once } from 'node:events';
import { appendFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { toolDirectory } from '../../scripts/test-tools/tools.ts';
import { temporaryDirectory, writeFiles } from '../helpers/directory.ts';
import { partsOf } from '../helpers/documentation/documentation.ts';
import { beforeSuite, whenOver } from '../helpers/programs/lifetime.ts';
import { freePort, needProgram, Program, requireTool, serve } from '../helpers/programs/program.ts';
import { startNginx } from '../helpers/web-servers/front-end.ts';
import { SOCKET_IO } from './support/catalogue.ts';
import { installWithIni } from './support/install.ts';
import { testApplication } from './support/suite.ts';

testApplication(SOCKET_IO);

interface ClientSocket extends NodeJS.EventEmitter {
  close(): void;
  emitWithAck(event: string, text: string): Promise<unknown>;
}
type Connect = (url: string, options: { readonly transports: readonly string[] }) => ClientSocket;

describe.skipIf(requireTool('socket.io') === undefined)('a Socket.IO client', () => {
  function connect(url: string, transport: string): ClientSocket {
    const require = createRequire(join(toolDirectory({ name: 'socket.io' }), 'x.js'));
    const { io } = require('socket.io-client') as { readonly io: Connect };
    const socket = io(url, { transports: [transport] });
    whenOver(() => socket.close());
    return socket;
  }

  async function talk(url: string, transport: string): Promise<void> {
    const socket = connect(url, transport);
    const [greeting] = await once(socket, 'greeting');
    expect(greeting).toBe('Hello from Socket.IO');
    expect(await socket.emitWithAck('ask', 'who')).toBe('echo who');
  }

  describe('with one process', () => {
    let directory = '';
    let url = '';
    beforeSuite(async () => {
      directory = installWithIni(SOCKET_IO);
      const names = ['--server-name', 'http', '--server-name', 'fastcgi'];
      ({ url } = await serve(['servers.ini', ...names], { cwd: directory }));
    });

    test.each(['websocket', 'polling'])('connects by %s over HTTP', (transport) => talk(url, transport));

    test('connects by polling over FastCGI behind nginx', async () => {
      const site = await startNginx(needProgram('nginx'), { socket: join(directory, 'app.sock') });
      await talk(site.url, 'polling');
    });
  });

  test('connects by polling to two sticky workers, over HTTP and over FastCGI behind nginx', async () => {
    const nginx = needProgram('nginx');
    const directory = installWithIni(SOCKET_IO);
    for (const name of ['http.ini', 'fastcgi.ini']) {
      appendFileSync(join(directory, name), 'workers = 2\nsticky = true\n');
    }
    const { url } = await serve(['http.ini'], { cwd: directory });
    await serve(['fastcgi.ini'], { cwd: directory });
    const site = await startNginx(nginx, { socket: join(directory, 'app.sock') });
    const clients = Array.from({ length: 5 }, () => [talk(url, 'polling'), talk(site.url, 'polling')]);
    await Promise.all(clients.flat());
  });

  test('receives messages from a client of another worker through Redis, as docs/frameworks/socket-io.md shows', async () => {
    const redis = needProgram('redis-server');
    const port = await freePort();
    const cwd = temporaryDirectory();
    await new Program(redis, ['--port', String(port), '--save', ''], { cwd }).says(/Ready to accept connections/);
    symlinkSync(join(toolDirectory({ name: 'socket.io' }), 'node_modules'), join(cwd, 'node_modules'));
    const blocks = partsOf('docs/frameworks/socket-io.md').flatMap((part) => part.blocks);
    const text = (name: string): string => blocks.find(({ file }) => file === name)?.text ?? '';
    writeFiles(cwd, {
      'redis.js': text('redis.js').replace(/(?<=io\.on\('connection'.*\n)/, "socket.emit('worker', process.pid);\n"),
      'etc/redis.ini': text('etc/redis.ini').replace('port = 8084', 'port = 0').replace('6379', String(port)),
    });
    const served = await serve(['etc/redis.ini'], { cwd });
    const client = async (): Promise<[client: ClientSocket, worker: number]> => {
      const socket = connect(served.url, 'polling');
      const [worker] = await once(socket, 'worker');
      return [socket, worker];
    };
    const [one, busy] = await client();
    // The next client reaches the other worker.
    process.kill(busy, 'SIGSTOP');
    const [other, free] = await client();
    process.kill(busy, 'SIGCONT');
    expect(free).not.toBe(busy);
    const heard = [one, other].map((socket) => once(socket, 'said'));
    one.emit('say', 'hello');
    expect(await Promise.all(heard)).toEqual([['hello'], ['hello']]);
    for (const socket of [one, other]) socket.close();
    expect((await served.kill('SIGTERM')).status).toBe(0);
  });
});
