/** The welcome page: its links work wherever it is mounted. */
import { expect, test } from 'vitest';
import { loadApp } from '../../src/index.ts';
import { serveFiltered } from '../filters/serve-filter.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { ask } from '../helpers/requests/ask.ts';

test.each([
  ['at the root', '', '/', ['/environ']],
  ['below a prefix', '/shop', '/', ['/shop/environ']],
  ['next to others', '/shop', '/hello', ['/shop/environ']],
])('links to the other applications %s', async (_what, prefix, mount, links) => {
  const directory = temporaryDirectory({
    'all.ini': `[composite:main]\nuse = npm:paster#urlmap\n${prefix}/ = config:inner.ini\n`,
    'inner.ini': `[composite:main]\nuse = npm:paster#urlmap\n${mount} = welcome\n/environ = environ\n
[app:welcome]\nuse = npm:paster#welcome\n\n[app:environ]\nuse = npm:paster#test\n`,
  });
  const file = prefix === '' ? 'inner.ini' : 'all.ini';
  const { url } = await serveFiltered([], await loadApp(`config:${file}`, { relativeTo: directory }));
  const page = (await ask(url, `${prefix}${mount}`)).body.toString();
  expect(page).toContain('<h1>It works</h1>');
  expect([...page.matchAll(/<a href="(\/[^"]*)"/g)].map(([, path]) => path)).toEqual(links);
});
