/** Another process replaces served files and directories by symbolic links to the outside, while requests run. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { DocumentRoot } from '../../../src/apps/document-root.ts';
import { makeStaticUrl } from '../../../src/apps/static/file-versions.ts';
import { staticFiles } from '../../../src/apps/static/static-files.ts';
import { type OpenedFile, openFound, openFoundSync } from '../../../src/files/opened-file.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually } from '../../helpers/programs/program.ts';
import { type Answer, serveApp } from './serve.ts';

const SECRET = 'S3CRET';
const REQUESTS = 4000;

/** `root` with files, and files of the same names outside it that contain a secret. */
function tree(): { directory: string; root: string } {
  const directory = temporaryDirectory({
    'root/sub/x.txt': 'inside',
    'root/sub/index.html': 'inside',
    'root/sub/x.txt.gz': 'inside',
    'root/file.txt': 'inside',
    'outside/x.txt': SECRET,
    'outside/index.html': SECRET,
    'outside/x.txt.gz': SECRET,
  });
  return { directory, root: join(directory, 'root') };
}

/** Replaces a directory and a file by links to the outside and back, without a pause, until the test ends. */
async function startSwapping(root: string): Promise<ChildProcess> {
  const script = `
    const { renameSync, symlinkSync, unlinkSync, writeFileSync } = require('node:fs');
    process.chdir(process.argv[1]);
    console.log('ready');
    for (;;) {
      renameSync('sub', 'sub.away');
      symlinkSync('../outside', 'sub');
      symlinkSync('../outside/x.txt', 'link');
      renameSync('link', 'file.txt');
      renameSync('sub', 'link.away');
      renameSync('sub.away', 'sub');
      writeFileSync('new', 'inside');
      renameSync('new', 'file.txt');
      unlinkSync('link.away');
    }`;
  const swapper: ChildProcess = spawn(process.execPath, ['-e', script, root], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    swapper.kill('SIGKILL');
    await once(swapper, 'close');
  });
  if (swapper.stdout) await once(swapper.stdout, 'data');
  return swapper;
}

test.each([false, true])(
  'no file from outside is sent while links are swapped (precompressed: %s)',
  async (precompressed) => {
    const { root } = tree();
    const { ask } = await serveApp(staticFiles({ documentRoot: root, precompressed }));
    const swapper = await startSwapping(root);
    const answers: Answer[] = [];
    const paths = ['/sub/x.txt', '/sub/', '/file.txt'];
    for (let sent = 0; sent < REQUESTS; sent += 8) {
      const batch = Array.from({ length: 8 }, (_, i) => ask(paths[i % 3] ?? '', { 'accept-encoding': 'gzip' }));
      answers.push(...(await Promise.all(batch)));
    }
    expect(swapper.exitCode).toBeNull();
    expect(answers.filter(({ body }) => body.includes(SECRET))).toHaveLength(0);
    expect(answers.filter(({ status }) => ![200, 404].includes(status))).toEqual([]);
    expect(answers.filter(({ body }) => body.toString() === 'inside').length).toBeGreaterThan(0);
  },
);

test('a link that appears after the look-up is not followed', async () => {
  const { root } = tree();
  const documentRoot = new DocumentRoot(root);
  const names = ['sub/x.txt', 'file.txt'];
  const found = await Promise.all(names.map((name) => documentRoot.find(join(root, name))));
  renameSync(join(root, 'sub'), join(root, 'sub.away'));
  symlinkSync('../outside', join(root, 'sub'));
  rmSync(join(root, 'file.txt'));
  symlinkSync('../outside/x.txt', join(root, 'file.txt'));
  for (const each of found) {
    expect(each).toBeDefined();
    if (each === undefined) continue;
    expect(await openFound(each)).toBeUndefined();
    expect(openFoundSync(each)).toBeUndefined();
  }
});

test('the opened file is sent, even if its name now leads elsewhere', async () => {
  const { root } = tree();
  const file = (await new DocumentRoot(root).open(join(root, 'sub/x.txt'))) as OpenedFile;
  onTestFinished(() => closeSync(file.fd));
  rmSync(join(root, 'sub/x.txt'));
  symlinkSync('../../outside/x.txt', join(root, 'sub/x.txt'));
  expect(readFileSync(file.fd, 'utf8')).toBe('inside');
});

test('a URL never has the version of a file outside that a link leads to', async () => {
  const { root } = tree();
  const staticUrl = makeStaticUrl({ documentRoot: root, hashCache: false });
  const versionIn = (url: string): string | undefined => /\?v=([0-9a-f]{20})$/.exec(url)?.[1];
  const inside = versionIn(staticUrl('file.txt'));
  const outside = versionIn(makeStaticUrl({ documentRoot: join(root, '../outside') })('x.txt'));
  expect(inside).not.toBe(outside);
  const swapper = await startSwapping(root);
  const versions = Array.from({ length: REQUESTS }, (_, i) => versionIn(staticUrl(i % 2 ? 'sub/x.txt' : 'file.txt')));
  // Node notices in the next turn whether the other process has ended.
  await nextTurn();
  expect(swapper.exitCode).toBeNull();
  // A file that is a link to the outside has no version.
  expect(versions.filter((version) => version !== inside && version !== undefined)).toEqual([]);
  expect(versions).toContain(inside);
});

test.runIf(process.platform === 'linux')('every file is closed, however the request ends', async () => {
  const { root } = tree();
  mkdirSync(join(root, 'empty'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  writeFileSync(join(root, 'large'), Buffer.alloc(1_000_000));
  const { ask, port } = await serveApp(staticFiles({ documentRoot: root, precompressed: true }));
  const open = (): string[] =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
      } catch {
        return false;
      }
    });
  const own = openSync(join(root, 'large'), 'r');
  expect(open()).toEqual([String(own)]);
  closeSync(own);
  const { etag = '' } = (await ask('/file.txt')).headers;
  const gzip = { 'accept-encoding': 'gzip' };
  for (const [path, headers = {}, method = 'GET'] of [
    ['/sub/x.txt'],
    ['/sub/x.txt', gzip],
    ['/sub/x.txt', gzip, 'HEAD'],
    ['/sub/x.txt', gzip, 'POST'],
    ['/sub'],
    ['/sub/'],
    ['/empty/'],
    ['/pipe'],
    ['/file.txt', { 'if-none-match': etag }],
    ['/file.txt', { 'if-match': '"other"' }],
    ['/file.txt', { range: 'bytes=2-3' }],
    ['/file.txt', { range: 'bytes=99-' }],
    ['/file.txt?v=00000000000000000000'],
  ] as const) {
    await ask(path, headers, method);
  }
  const leaving = connect(port, '127.0.0.1').resume();
  leaving.write('GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await once(leaving, 'data');
  leaving.destroy();
  await eventually(() => open().length === 0);
});
