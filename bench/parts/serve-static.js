/** `node serve-static.js DIRECTORY`: Express's serve-static on bare node:http. */
import { createServer } from 'node:http';
import serveStatic from 'serve-static';

const files = serveStatic(process.argv[2], { maxAge: '1h' });

const server = createServer((req, res) => files(req, res, () => res.writeHead(404).end()));
server.listen(0, '127.0.0.1', () => process.stdout.write(`serving on http://127.0.0.1:${server.address().port}\n`));
