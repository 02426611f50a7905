/** `npm run docs` writes the table of docs/programs.md: the products of test/applications/, and what is compared for each of them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { APPLICATIONS, type Application } from '../test/applications/support/catalogue.ts';
import { PRODUCTS } from './test-tools/products.ts';

export const PAGE = join(import.meta.dirname, '../docs/programs.md');

const START = '<!-- Made by "npm run docs" from test/applications/support/catalogue.ts: changes belong there. -->\n';
const END = '<!-- End of what "npm run docs" makes. -->\n';

/** The page with the current table. @throws Error if the page does not have the two comments around it */
export function pageWithTable(page: string): string {
  const [before, after] = [page.indexOf(START), page.indexOf(END)];
  if (before === -1 || after < before) throw new Error(`${PAGE} does not have the comments around the table`);
  return `${page.slice(0, before)}${START}\n${table()}\n${page.slice(after)}`;
}

function table(): string {
  const rows = APPLICATIONS.map((each) => [each.title, versionOf(each), each.compared, alsoTested(each)]);
  const lines = [['product', 'version', 'compared with `node`', 'also tested'], ['---', '---', '---', '---'], ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function versionOf({ product }: Application): string {
  return PRODUCTS.find(({ name }) => name === product)?.version ?? '';
}

function alsoTested({ edited, printedOnTerm, webSocket, isExclusive }: Application): string {
  return [
    'below a prefix',
    ...(edited === undefined ? [] : ['an edit under `--reload`']),
    isExclusive ? 'HUP of one worker under load' : 'HUP under load',
    ...(printedOnTerm === undefined ? [] : ['shutdown hooks']),
    ...(webSocket === undefined ? [] : ['WebSockets, TERM with one open']),
  ].join(', ');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(PAGE, pageWithTable(readFileSync(PAGE, 'utf8')));
}
