/** The real git clones, pushes and fetches through `npm:paster#cgi` and git's own CGI program, over HTTP and behind nginx. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { Program, requireProgram, serve } from '../../helpers/programs/program.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';

const git = requireProgram('git') ?? '';
const nginx = requireProgram('nginx') ?? '';
const BACKEND =
  git === '' ? '' : join(execFileSync(git, ['--exec-path'], { encoding: 'utf8' }).trim(), 'git-http-backend');

const ini = (directory: string, server: string): string => `
[composite:main]
use = npm:paster#urlmap
/git = git

[app:git]
use = egg:Paste#cgi
script = ${BACKEND}
environment =
    GIT_PROJECT_ROOT=${directory}/repositories
    GIT_HTTP_EXPORT_ALL=1
    REMOTE_USER=tester

[server:main]
${server}
`;

/** Runs git without a user's configuration, and returns its output, which contains its requests and the responses. */
async function run(cwd: string, ...args: string[]): Promise<string> {
  const program = new Program(git, ['-c', 'user.name=T', '-c', 'user.email=t@example.org', ...args], {
    cwd,
    env: {
      HOME: cwd,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CURL_VERBOSE: '1',
      GIT_TRACE_CURL_NO_DATA: '1',
      GIT_TERMINAL_PROMPT: '0',
    },
  });
  const { status, stderr, stdout } = await program.finished();
  if (status !== 0) throw new Error(`git ${args.join(' ')}: ${status}\n${stderr}`);
  return stdout + stderr;
}

async function repositories(): Promise<string> {
  const directory = temporaryDirectory();
  await run(directory, 'init', '-q', '--bare', '-b', 'main', join(directory, 'repositories/r.git'));
  return directory;
}

/** Commits a file that cannot be compressed. */
async function commit(clone: string, name: string, size: number): Promise<string> {
  const bytes = randomBytes(size);
  writeFileSync(join(clone, name), bytes);
  await run(clone, 'add', name);
  await run(clone, 'commit', '-q', '-m', name);
  return createHash('sha256').update(bytes).digest('hex');
}

/** Clones, pushes with chunks and with a length, fetches what another clone has pushed, negotiates over many commits. */
async function useEverything(directory: string, url: string): Promise<void> {
  const one = join(directory, 'one');
  await run(directory, 'clone', '-q', `${url}/git/r.git`, one);
  await run(one, 'checkout', '-q', '-B', 'main');
  await commit(one, 'large', 5 << 20);
  const pushed = await run(one, 'push', '-q', 'origin', 'main');
  expect(pushed).toMatch(/Transfer-Encoding: chunked/i);

  const two = join(directory, 'two');
  await run(directory, 'clone', '-q', `${url}/git/r.git`, two);
  expect(await run(two, 'rev-parse', 'HEAD')).toMatch((await run(one, 'rev-parse', 'HEAD')).slice(0, 40));
  await commit(two, 'small', 1000);
  const small = await run(two, '-c', 'http.postBuffer=10m', 'push', '-q', 'origin', 'HEAD:main');
  expect(small).toMatch(/Content-Length: \d{4}/i);

  // Commits that this clone has and the server lacks make the negotiation long, and git compresses long requests.
  execFileSync(git, ['fast-import', '--quiet'], { cwd: one, input: commitStream(600) });
  const fetched = await run(one, 'fetch', '-q', 'origin');
  expect(fetched).toMatch(/Content-Encoding: gzip/i);
  expect(await run(one, 'rev-parse', 'origin/main')).toMatch((await run(two, 'rev-parse', 'HEAD')).slice(0, 40));
  await run(one, 'fsck', '--full');
  await run(join(directory, 'repositories/r.git'), 'fsck', '--full');
}

/** Branches of one commit each, in the language of `git fast-import`. */
function commitStream(count: number): string {
  return Array.from(
    { length: count },
    (_, i) => `commit refs/heads/b${i}\ncommitter T <t@example.org> ${2_000_000_000 + i} +0000\ndata 1\n${i % 10}\n\n`,
  ).join('');
}

describe.skipIf(git === '')('git', () => {
  test('clones, pushes and fetches over HTTP', async () => {
    const directory = await repositories();
    const file = join(directory, 'http.ini');
    writeFileSync(file, ini(directory, 'use = npm:paster#http\nport = 0'));
    const { url } = await serve([file]);
    await useEverything(directory, url);
  });

  test.skipIf(nginx === '')('clones, pushes and fetches through nginx and FastCGI', async () => {
    const directory = await repositories();
    const file = join(directory, 'fastcgi.ini');
    const socket = join(directory, 's');
    writeFileSync(file, ini(directory, `use = npm:paster#fastcgi\nsocket = ${socket}`));
    await serve([file]);
    const { url } = await startNginx(nginx, { socket });
    await useEverything(directory, url);
  });
});
