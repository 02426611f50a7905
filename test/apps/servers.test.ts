/** Static files and CGI scripts over every server: HTTP, FastCGI, SCGI and CGI itself. */
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cgiBin } from '../../src/apps/cgi/cgi.ts';
import { makeStaticUrl } from '../../src/apps/static/file-versions.ts';
import { staticFiles } from '../../src/apps/static/static-files.ts';
import type { App } from '../../src/protocol/types.ts';
import type { ContractResponse, Serving } from '../contract/backends/backend.ts';
import { cgiBackend } from '../contract/backends/cgi-backend.ts';
import { fastcgiBackend } from '../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { http2Backend } from '../contract/backends/http2-backend.ts';
import { scgiBackend } from '../contract/backends/scgi-backend.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { eventually, isAlive } from '../helpers/programs/program.ts';

const header = ({ rawHeaders }: ContractResponse, name: string): string | undefined =>
  rawHeaders[rawHeaders.findIndex((each, i) => i % 2 === 0 && each.toLowerCase() === name) + 1];

describe.each([httpBackend, http2Backend, fastcgiBackend, scgiBackend, cgiBackend])('$name', (backend) => {
  async function start(app: App): Promise<Serving> {
    const serving = await backend.start(app);
    onTestFinished(async () => {
      await serving.close();
      await app.close?.();
    });
    return serving;
  }

  test('serves static files', async () => {
    const directory = temporaryDirectory({ 'a.txt': 'hello, world', 'd/index.html': 'index' });
    const serving = await start(staticFiles({ documentRoot: directory }));
    const whole = await serving.request({ path: makeStaticUrl({ documentRoot: directory, urlPrefix: '' })('a.txt') });
    expect(whole).toMatchObject({ status: 200, body: Buffer.from('hello, world'), complete: true });
    expect(header(whole, 'cache-control')).toContain('immutable');
    const etag = header(whole, 'etag') ?? '';
    expect((await serving.request({ path: '/a.txt', headers: { 'if-none-match': etag } })).status).toBe(304);
    const part = await serving.request({ path: '/a.txt', headers: { range: 'bytes=0-4' } });
    expect(part).toMatchObject({ status: 206, body: Buffer.from('hello') });
    expect(header(await serving.request({ path: '/d' }), 'location')).toBe('/d/');
    expect((await serving.request({ path: '/nothing' })).status).toBe(404);
  });

  test('runs CGI scripts', async () => {
    const directory = temporaryDirectory({
      echo: '#!/bin/sh\nprintf "Status: 201\\nX-Length: $CONTENT_LENGTH\\nContent-Type: a/b\\n\\n$PATH_INFO "\nexec cat\n',
      sleep: '#!/bin/sh\necho $$ > "$0.pid"\nprintf "Content-Type: a/b\\n\\n"\nexec sleep 600\n',
    });
    for (const name of ['echo', 'sleep']) chmodSync(join(directory, name), 0o755);
    const serving = await start(cgiBin({ directory }));
    const body = [Buffer.alloc(300_000, 'a'), 'b'];
    const answer = await serving.request({ method: 'POST', path: '/echo/x%20y', body });
    expect(answer).toMatchObject({ status: 201, complete: true });
    expect(header(answer, 'x-length')).toBe('300001');
    expect(answer.body.toString()).toBe(`/x y ${'a'.repeat(300_000)}b`);

    const pid = join(directory, 'sleep.pid');
    const abort = eventually(() => existsSync(pid) && readFileSync(pid, 'utf8') !== '');
    await serving.request({ path: '/sleep', abort }).catch(() => {});
    await eventually(() => !isAlive(Number(readFileSync(pid, 'utf8'))));
  });
});
