/** Links between the pages lead to an existing file of the repository, and to an existing heading. */
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { SIDEBAR } from '../../docs/.vitepress/navigation.ts';
import { sitePath } from '../../docs/.vitepress/pages.ts';
import { PAGES, readPage } from '../helpers/documentation/documentation.ts';
import { ROOT } from '../helpers/programs/program.ts';

const OTHERS = [
  'bench/README.md',
  'bench/results/results.md',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
];
const LINK = /\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g;

/** Anchors as on GitHub: in lower case, without punctuation, with dashes for spaces. */
function anchorsOf(page: string): string[] {
  const text = readPage(page).replace(/^```.*?^```$/gms, '');
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test.each([...PAGES, ...OTHERS])('%s has only valid links', (page) => {
  const broken = [...readPage(page).matchAll(LINK)]
    .map(([link, file = '', anchor]) => ({
      link,
      file: file === '' ? page : normalize(join(dirname(page), file)),
      anchor,
    }))
    .filter(({ file, anchor }) => {
      if (!existsSync(join(ROOT, file))) return true;
      return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).includes(anchor);
    });
  expect(broken.map(({ link }) => link)).toEqual([]);
});

test('links are found', () => {
  const links = PAGES.flatMap((page) => [...readPage(page).matchAll(LINK)]);
  // Half of what there was when this was written.
  expect(links.length).toBeGreaterThan(400);
});

test('docs/index.md lists every page', () => {
  const index = readPage('docs/index.md');
  const missing = PAGES.filter((page) => page.startsWith('docs/') && page !== 'docs/index.md').filter(
    (page) => !index.includes(`(${page.slice('docs/'.length)}`),
  );
  expect(missing).toEqual([]);
});

test('the navigation of the site lists every page', () => {
  const links = SIDEBAR.flatMap(({ items = [] }) => items.map(({ link = '' }) => link.slice(1).replace(/#.*/, '')));
  const pages = [...PAGES, ...OTHERS].map((page) => sitePath(page)?.replace(/\.md$/, ''));
  expect(pages.filter((page) => page === undefined || (page !== 'index' && !links.includes(page)))).toEqual([]);
});
