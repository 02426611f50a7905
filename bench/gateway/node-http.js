/** `node node-http.js APP PATH|PORT`: a bare node:http server, what paster is measured against. */
import { chmodSync } from 'node:fs';
import { createServer } from 'node:http';
import { makeApp } from './apps.js';

const [name, where] = process.argv.slice(2);
const server = createServer(await makeApp(name));
server.listen(/^\d+$/.test(where) ? { port: Number(where), host: '127.0.0.1' } : where, () => {
  if (where.startsWith('/')) chmodSync(where, 0o666);
  process.stdout.write('ready\n');
});
