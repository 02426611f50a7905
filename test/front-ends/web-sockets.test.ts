/** The example for WebSockets in docs/troubleshoot.md: the INI file with FastCGI and HTTP, and the location for nginx. */
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../helpers/directory.ts';
import { blocksBelow } from '../helpers/documentation/documentation.ts';
import { freePort, ROOT, requireProgram, serve } from '../helpers/programs/program.ts';
import { runNginx } from '../helpers/web-servers/nginx.ts';

const APP = `import { createServer } from 'node:http';
import { WebSocketServer } from '${join(ROOT, 'node_modules/ws/wrapper.mjs')}';

export function makeApp() {
  const server = createServer((req, res) => res.end('a page'));
  new WebSocketServer({ server }).on('connection', (socket) => {
    socket.on('message', (text) => socket.send(\`you said \${text}\`));
  });
  return server;
}
`;
const nginx = requireProgram('nginx');

const [INI = '', LOCATION = ''] = blocksBelow('docs/troubleshoot.md', 'WebSockets behind FastCGI');

test.skipIf(nginx === undefined)('a separate location forwards them', async () => {
  const port = await freePort();
  const ini = INI.replace('8081', String(port));
  const cwd = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': APP, 'etc/config.ini': ini });
  const program = await serve(['etc/config.ini'], { cwd });
  await program.says(/^serving on http:/m);
  const location = LOCATION.replace('8081', String(port));
  const { url } = await runNginx(nginx ?? '', `server {\n  listen 80;\n${location}}\n`);
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket`);
  await once(socket, 'open');
  socket.send('hello');
  const [answer] = await once(socket, 'message');
  expect(String(answer)).toBe('you said hello');
  socket.close();
  await once(socket, 'close');
});
