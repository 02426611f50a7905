/** Node's cache of compiled code: where it is, and when it is off. */
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { Program, ROOT, requireTool } from '../helpers/programs/program.ts';

const node = requireTool('node 24');

const INI = '[app:main]\nuse = module:./app.js\n\n[server:main]\nuse = npm:paster#http\nport = 0\n';

async function serveAndStop(env: NodeJS.ProcessEnv, ...options: readonly string[]): Promise<void> {
  const directory = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'app.js': 'export default (req, res) => res.end();\n',
    'develop.ini': INI,
  });
  const args = [join(ROOT, 'bin/paster.js'), 'serve', 'develop.ini', ...options];
  const program = new Program(node ?? '', args, { cwd: directory, env: { XDG_CACHE_HOME: '', ...env } });
  await program.says(/serving on/);
  program.child.kill('SIGTERM');
  await program.finished();
  expect(program.stderr).toBe('');
}

/** paster's own code is in files of a hundred kilobytes. */
const LARGE = 50_000;

/** `cached`: the number of large files in the cache. */
function home(): { home: string; cached: () => number } {
  const directory = temporaryDirectory({});
  mkdirSync(join(directory, '.cache'));
  const cache = join(directory, '.cache/paster/compile');
  return {
    home: directory,
    cached() {
      const names = existsSync(cache) ? readdirSync(cache, { recursive: true, encoding: 'utf8' }) : [];
      return names.filter((name) => statSync(join(cache, name)).size > LARGE).length;
    },
  };
}

test.skipIf(node === undefined).each([[[]], [['-w', '1']]])(
  'the cache is in the user’s cache directory: %j',
  async (options) => {
    const { home: HOME, cached } = home();
    await serveAndStop({ HOME }, ...options);
    expect(cached()).toBeGreaterThan(2);
  },
);

test.skipIf(node === undefined)(
  'the cache is off with NODE_DISABLE_COMPILE_CACHE, if other users can write to it, and without a cache directory',
  async () => {
    const off = home();
    await serveAndStop({ HOME: off.home, NODE_DISABLE_COMPILE_CACHE: '1' });
    expect(off.cached()).toBe(0);
    const open = home();
    chmodSync(join(open.home, '.cache'), 0o777);
    await serveAndStop({ HOME: open.home });
    expect(open.cached()).toBe(0);
    const none = temporaryDirectory({});
    await serveAndStop({ HOME: none });
    expect(readdirSync(none)).toEqual([]);
  },
);
