/** Every attack of the table gets a 4xx, or a file of the document root: never a byte from outside. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Dotfiles, staticFiles, withStaticFiles } from '../../../src/apps/static/static-files.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { ATTACKS } from './attacks.ts';
import { type Ask, serveApp } from './serve.ts';

const SECRET = 'S3CRET-OUTSIDE';
const HIDDEN = 'H1DDEN-DOTFILE';
const HELLO = 'hello, world';

/** A document root, with files inside and around it that an attack could reach. */
function tree(): string {
  const directory = temporaryDirectory({
    'secret.txt': SECRET,
    'outside/secret.txt': SECRET,
    'outside/index.html': SECRET,
    'root-sibling/secret.txt': SECRET,
    'root/index.html': '<p>root</p>',
    'root/hello.txt': HELLO,
    'root/sub/inner.txt': 'inner',
    'root/.env': HIDDEN,
    'root/.git/config': HIDDEN,
    'root/sub/.htpasswd': HIDDEN,
  });
  const root = join(directory, 'root');
  const link = (to: string, from: string): void => symlinkSync(to, join(root, from));
  link('../secret.txt', 'link-out.txt');
  link('../outside', 'link-out-dir');
  link(join(directory, 'secret.txt'), 'link-absolute.txt');
  link('link-out.txt', 'link-to-link.txt');
  link('..', 'link-root');
  link('../root-sibling', 'link-sibling');
  link('link-loop', 'link-loop');
  link('nowhere', 'link-dangling');
  link('..', 'sub/link-up');
  link('/proc/self', 'link-proc');
  mkdirSync(join(root, 'link-index'));
  link('../../secret.txt', 'link-index/index.html');
  return root;
}

test('there are at least 200 attacks of all kinds', () => {
  expect(new Set(ATTACKS.map(({ group }) => group)).size).toBe(6);
  expect(new Set(ATTACKS.map(({ target, headers }) => target + headers?.['range'])).size).toBeGreaterThanOrEqual(200);
});

/** @param hidesDotfiles whether the server must not send any file whose name begins with a dot */
async function attackAll(ask: Ask, prefix: string, hidesDotfiles: boolean): Promise<void> {
  const wrong: string[] = [];
  for (const { target, headers, harmless } of ATTACKS) {
    const { status, body, headers: answered } = await ask(target.replace(/^\//, `${prefix}/`), headers);
    const text = body.toString('latin1');
    const refused = status >= 400 && status < 500;
    const inside = harmless && ((status === 200 && text === HELLO) || (status === 206 && HELLO.includes(text)));
    const leaks = text.includes(SECRET) || text.includes('root:') || (hidesDotfiles && text.includes(HIDDEN));
    const forged = 'set-cookie' in answered || /^(?:[a-z]+:)?[/\\]{2}/i.test(answered['location'] ?? '');
    if ((hidesDotfiles && !refused && !inside) || leaks || forged)
      wrong.push(`${target} ${status} ${text.slice(0, 40)}`);
  }
  expect(wrong).toEqual([]);
}

test.each<Dotfiles>(['ignore', 'deny'])(
  'dotfiles = %s: every attack is refused, or gets a file of the document root',
  async (dotfiles) => {
    const { ask } = await serveApp(staticFiles({ documentRoot: tree(), dotfiles, precompressed: dotfiles === 'deny' }));
    await attackAll(ask, '', true);
  },
);

test('dotfiles = allow: no attack gets a file from outside', async () => {
  const { ask } = await serveApp(staticFiles({ documentRoot: tree(), dotfiles: 'allow' }));
  await attackAll(ask, '', false);
});

test('below a prefix no attack gets a file from outside', async () => {
  const filtered = await withStaticFiles({ documentRoot: tree() })((_req, res) => {
    res.statusCode = 404;
    res.end();
  });
  const { ask } = await serveApp(filtered);
  await attackAll(ask, '/static', true);
});

test('a symbolic link to a file of the document root is followed', async () => {
  const root = tree();
  symlinkSync('sub', join(root, 'link-in'));
  const { ask } = await serveApp(staticFiles({ documentRoot: root }));
  expect((await ask('/link-in/inner.txt')).body.toString()).toBe('inner');
});
