/** The role AUTHORIZER (FastCGI specification 1.0 section 6.3) for a real Lighttpd: it decides whether a request may have the file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, freePort, needProgram, Program } from '../../helpers/programs/program.ts';
import { type Served, serveFastcgi } from './serve.ts';

let served: Served;
afterEach(() => served.close());

async function startLighttpd(binary: string, socket: string): Promise<string> {
  const directory = temporaryDirectory();
  const port = await freePort();
  mkdirSync(join(directory, 'www'));
  writeFileSync(join(directory, 'www', 'file.txt'), 'the file\n');
  writeFileSync(
    join(directory, 'lighttpd.conf'),
    `server.modules = ( "mod_fastcgi" )
server.document-root = "${directory}/www"
server.bind = "127.0.0.1"
server.port = ${port}
server.errorlog = "${directory}/error.log"
server.upload-dirs = ( "${directory}" )
fastcgi.server = ( "/" => (( "mode" => "authorizer", "docroot" => "${directory}/www", "socket" => "${socket}" )) )
`,
  );
  const program = new Program(binary, ['-D', '-f', join(directory, 'lighttpd.conf')]);
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    if (program.child.exitCode !== null) throw new Error(`Lighttpd did not start:\n${program.output}`);
    return fetch(url).then(
      (response) => response.arrayBuffer().then(() => true),
      () => false,
    );
  });
  return url;
}

test('Lighttpd serves the file if the application responds with 200, and otherwise sends its response', async () => {
  const seen: (string | undefined)[] = [];
  served = await serveFastcgi((req, res) => {
    seen.push(req.headers['content-length']);
    if (req.headers.authorization === 'Bearer right') {
      res.writeHead(200, { 'Variable-USER': 'joe' });
      res.end();
    } else {
      res.writeHead(401, { 'WWW-Authenticate': 'Bearer', 'Content-Type': 'text/plain' });
      res.end(`not ${req.method} ${req.url}\n`);
    }
  }, {});
  const binary = needProgram('lighttpd');
  const url = await startLighttpd(binary, served.path);
  const refused = await fetch(`${url}/file.txt`);
  expect([refused.status, refused.headers.get('www-authenticate'), await refused.text()]).toEqual([
    401,
    'Bearer',
    'not GET /file.txt\n',
  ]);
  const headers = { Authorization: 'Bearer right' };
  for (let i = 0; i < 3; i++) {
    const allowed = await fetch(`${url}/file.txt`, { headers });
    expect([allowed.status, await allowed.text()]).toEqual([200, 'the file\n']);
  }
  expect((await fetch(`${url}/missing.txt`, { headers })).status).toBe(404);
  // An authorizer gets no body.
  expect(new Set(seen)).toEqual(new Set([undefined]));
});
