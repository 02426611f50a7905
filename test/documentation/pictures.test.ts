/** docs/pictures/: each picture is used by a page, has an alternative text, and is small enough to load quickly. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { PAGES, readPage } from '../helpers/documentation/documentation.ts';
import { ROOT } from '../helpers/programs/program.ts';

const DIRECTORY = 'docs/pictures';
/** The maximum size in bytes. */
const LARGEST = 150_000;
/** The minimum length of a text that describes a picture instead of naming it. */
const SENTENCE = 40;
const PICTURES = readdirSync(join(ROOT, DIRECTORY)).map((name) => join(DIRECTORY, name));
const MARKDOWN_IMAGE = /!\[(?<alt>[^\]]*)\]\((?<file>[^)\s]+)\)/g;
const HTML_IMAGE = /<(?:img alt="(?<alt>[^"]*)" src|source media="[^"]*" srcset)="(?<file>[^"]+)"/g;

const shown = PAGES.flatMap((page) =>
  [MARKDOWN_IMAGE, HTML_IMAGE].flatMap((pattern) =>
    [...readPage(page).matchAll(pattern)].map(({ groups }) => ({
      file: join(dirname(page), groups?.['file'] ?? ''),
      alt: groups?.['alt'],
    })),
  ),
).filter(({ file }) => file.startsWith(DIRECTORY));

test('each picture is used by a page, and each picture of a page exists', () => {
  expect([...new Set(shown.map(({ file }) => file))].sort()).toEqual(PICTURES.sort());
});

test('each has an alternative text', () => {
  // A dark variant shares the text of its light one.
  const undescribed = shown.filter(({ file, alt }) => (alt ?? '').length < SENTENCE && !file.endsWith('-dark.png'));
  expect(undescribed).toEqual([]);
});

test.each(PICTURES)('%s has a small file, and the size of a screen', (file) => {
  const picture = readFileSync(join(ROOT, file));
  expect(picture.subarray(1, 4).toString()).toBe('PNG');
  expect([picture.readUInt32BE(16), picture.readUInt32BE(20)]).toEqual([1440, 900]);
  expect(picture.length).toBeLessThan(LARGEST);
});

test('`npm run record` makes each of them', () => {
  const recorder = readFileSync(join(ROOT, 'scripts/record-pages.ts'), 'utf8');
  const names = PICTURES.map((file) => file.replace(/^.*\/|(?:-(?:light|dark))?\.png$/g, ''));
  expect(names.filter((name) => !recorder.includes(`'${name}'`) && !recorder.includes(`\`${name}-`))).toEqual([]);
});
