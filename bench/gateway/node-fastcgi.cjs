/** `node node-fastcgi.cjs DIRECTORY SOCKET`: npm node-fastcgi, installed in a directory, with the same small application. */
const { chmodSync } = require('node:fs');
const { createRequire } = require('node:module');

const [directory, socket] = process.argv.slice(2);
const fastcgi = createRequire(`${directory}/package.json`)('node-fastcgi');
const server = fastcgi.createServer((_req, res) => {
  res.setHeader('Content-Type', 'text/plain');
  res.end('Hello World\n');
});
server.listen(socket, () => {
  chmodSync(socket, 0o666);
  process.stdout.write('ready\n');
});
