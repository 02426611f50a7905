/**
 * README.md and docs/ are true: INI examples load, code parses and imports what exists, and command lines
 * are valid. Commands of console blocks run in test/documentation/walkthroughs.test.ts, except those in NOT_RUN.
 */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { COMMANDS } from '../../src/commands/command-line/command-table.ts';
import { parseIni } from '../../src/config/ini/ini.ts';
import { checkSection } from '../../src/deploy/background/loaded-process.ts';
import { checkFile } from '../../src/deploy/check/check.ts';
import { factoryContext, loadTarget } from '../../src/deploy/compose.ts';
import { checkConnect } from '../../src/deploy/connect/options.ts';
import { loadApp, loadContext, loadServer } from '../../src/deploy/load.ts';
import { takeApplicationSettings } from '../../src/deploy/sections/application-settings.ts';
import { validateSettings } from '../../src/deploy/validate.ts';
import * as paster from '../../src/index.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { type Block, hasCommands, PAGES, partsOf, readPage } from '../helpers/documentation/documentation.ts';
import { ROOT } from '../helpers/programs/program.ts';

interface Example {
  readonly page: string;
  readonly text: string;
}

/** The blocks that are indented by four spaces, or fenced, without their indentation. */
function examplesOf(page: string): Example[] {
  const blocks: string[] = [];
  let block: string[] = [];
  let fenced = false;
  for (const line of [...readPage(page).split('\n'), '#']) {
    const isFence = line.startsWith('```');
    if (isFence) fenced = !fenced;
    if (fenced && !isFence) block.push(line);
    else if (line.startsWith('    ')) block.push(line.slice(4));
    else if (line === '' && block.length > 0 && !isFence) block.push('');
    else if (block.length > 0) {
      blocks.push(block.join('\n').trim());
      block = [];
    }
  }
  return blocks.map((text) => ({ page, text }));
}

const EXAMPLES = PAGES.flatMap(examplesOf);
// The page of the commands shows files with errors on purpose.
const INI_FILES = EXAMPLES.filter(
  ({ page, text }) => page !== 'docs/commands.md' && /^\[[a-zA-Z]/.test(text) && /^\w[\w.-]* ?=/m.test(text),
);
const COMMAND_LINES = EXAMPLES.filter(({ page }) => page !== 'docs/reference.md').flatMap(({ page, text }) =>
  text
    .split('\n')
    .filter((line) => /^\$? ?(?:npx )?paster [a-z]/.test(line))
    // A word that the shell substitutes is not paster's.
    .map((line) => ({
      page,
      text: line
        .replace(/^\$ /, '')
        .replace(/ {2,}#.*$/, '')
        .replace(/ \| .*$/, '')
        .replace(/"\$\([^)]*\)"/g, 'WORD'),
    })),
);

test('the pages have examples of each kind', () => {
  // More than half of what there was when this was written: a pattern that no longer matches would leave most of them out.
  expect(INI_FILES.length).toBeGreaterThan(43);
  expect(COMMAND_LINES.length).toBeGreaterThan(161);
});

/** The modules that a page shows next to an INI file. */
function modulesOf(page: string): Record<string, string> {
  const blocks = partsOf(page).flatMap((part) => part.blocks);
  const modules = blocks.filter(({ file }) => file?.endsWith('.js') && !file.includes('/'));
  return Object.fromEntries(modules.map(({ file, text }) => [`etc/${file}`, text]));
}

const MODULE = 'export const makeApp = () => () => {};\nexport const makeLimit = () => (app) => app;\n';

// Variables that the examples read from the environment.
process.env['SESSION_SECRET'] = 'x'.repeat(32);
process.env['OLD_SESSION_SECRET'] = 'y'.repeat(32);

/** The kinds of part that sections with these prefixes are. */
const KINDS = new Map<string, 'app' | 'filter'>([
  ['app', 'app'],
  ['composite', 'app'],
  ['filter', 'filter'],
]);

describe('INI examples', () => {
  test.each(INI_FILES)('$page: $text', async ({ page, text }) => {
    const directory = temporaryDirectory({ 'etc/x.ini': text, 'app.js': MODULE, ...modulesOf(page) });
    const { sections } = parseIni(text, 'x.ini');
    symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    const options = { relativeTo: directory };
    if (page === 'docs/scaling.md') {
      for (const name of ['var', 'static']) mkdirSync(join(directory, name));
      expect(await checkFile(join(directory, 'etc/x.ini'), {})).toEqual([]);
    }
    for (const section of sections.keys()) {
      const [prefix = '', name = 'main'] = section.split(':');
      // Throws for an unknown setting, a value of the wrong type, and an address that is refused.
      if (prefix === 'server') await loadServer(`config:etc/x.ini#${name}`, options);
      if (page === 'docs/applications.md') await loadApp(`config:etc/x.ini#${name}`, options);
      if (prefix === 'process' || prefix === 'task') {
        await checkSection(await loadContext(prefix, `config:etc/x.ini#${name}`, options), { imports: false });
      }
      const kind = KINDS.get(prefix);
      if (kind === undefined) continue;
      const context = await loadContext(kind, `config:etc/x.ini#${name}`, options);
      const inner = context.form === 'filter-with' ? context.next : context;
      const factory = factoryContext(inner);
      const made = await loadTarget(factory);
      expect(made).toBeTypeOf('function');
      if (factory.protocol === 'connect') await checkConnect(made as () => unknown, factory);
      else await validateSettings(made, (await takeApplicationSettings(factory, made)).context);
    }
  });
});

const CODE = PAGES.flatMap((page) =>
  partsOf(page)
    .flatMap(({ blocks }) => blocks)
    .filter(({ language }) => ['js', 'ts', 'json', 'yaml'].includes(language))
    .map(({ language, text }) => ({ page, language, text })),
);

describe('code', () => {
  test.each(CODE)('$page: $text', ({ language, text }) => {
    if (language === 'json') JSON.parse(text);
    else if (language === 'yaml') parseYaml(text);
    // Throws if the code does not parse.
    else parseAst(text, { lang: 'ts' });
  });

  test.each(EXAMPLES.filter(({ text }) => / from 'paster'/.test(text)))('$page: $text', ({ text }) => {
    for (const [, names = ''] of text.matchAll(/import \{([^}]*)\} from 'paster'/g)) {
      for (const name of names.split(',')) expect(Object.keys(paster)).toContain(name.trim());
    }
  });
});

/** Commands that no walkthrough can run, with the reason. */
const NOT_RUN: readonly (readonly [RegExp, string])[] = [
  [/^(?:paster|npx paster) \S.*(?:\[|\(the same\))/, 'shows which options a command has: they are checked below'],
  [
    /^npm (?:ci|test|run (?:build|test:all|check:static|bench))\b/,
    'builds and tests this repository, or measures for minutes',
  ],
  [
    /^paster (?:check \S+ --as-user|check -v |status \S+$|control \S+ (?:requests|logs .*)$)/,
    'shows a server after hours, live, or with a blocked worker, users of another machine, or packages of a project',
  ],
  [/^(?:npm install \S+\.tgz|npx paster upgrade \S+)$/, 'needs another version of paster'],
];

const PROGRAMS =
  /^(?:npx|npm|node|paster|kill|mv|rm|cp|cd|curl|apt-get|systemctl|chown|chmod|git|echo|docker|kubectl|nginx|openssl)\s/;

test.each([...PAGES, 'bench/README.md', 'CONTRIBUTING.md'])('%s: commands to type are in console blocks', (page) => {
  const indented = readPage(page)
    .replace(/^```.*?^```$/gms, '')
    .matchAll(/^ {4}(?:\$ )?(\S.*)$/gm);
  const typed = [...indented].map(([, line = '']) => line).filter((line) => PROGRAMS.test(line));
  expect(typed.filter((line) => !NOT_RUN.some(([pattern]) => pattern.test(line)))).toEqual([]);
});

/** Pages whose `sh` blocks are typed and are not scripts, with the reason why no walkthrough runs them. */
const NOT_FOLLOWED = new Map([
  ['docs/reference.md', 'examples of `paster help`, run by test/documentation/help-examples.test.ts'],
  ['docs/tutorial.md', 'needs systemd itself; docs/scaling.md has the same for nginx, and a walkthrough runs it'],
  ['docs/web-servers.md', 'run by test/front-ends'],
]);

test('sh blocks with commands to type are only on the pages above', () => {
  const isTyped = ({ language, file, text }: Block) =>
    language === 'sh' && file === undefined && !text.startsWith('#!');
  const pages = PAGES.filter((page) => partsOf(page).some(({ blocks }) => blocks.some(isTyped)));
  expect(pages.toSorted()).toEqual([...NOT_FOLLOWED.keys()]);
});

/** Pages whose modules have their own tests. */
const RUN_ELSEWHERE = new Map([
  ['docs/library.md', 'test/library/documentation.test.ts'],
  ['docs/logging.md', 'test/integration/monitoring/logging.test.ts'],
]);

test.each(PAGES.filter((page) => !RUN_ELSEWHERE.has(page)))(
  '%s: a walkthrough writes each module as a file',
  (page) => {
    const parts = partsOf(page).map(({ blocks }) => blocks);
    const isRun = (part: number) => parts.some((blocks, at) => (part === 0 || at === part) && hasCommands(blocks));
    const others = parts.flatMap((blocks, part) =>
      blocks.filter(({ language, file }) => language === 'js' && (file === undefined || !isRun(part))),
    );
    expect(others.map(({ text }) => text)).toEqual([]);
    expect(readPage(page).replace(/^```.*?^```$/gms, '')).not.toMatch(/^ {4}(?:import|export|const) /m);
  },
);

describe('command lines', () => {
  test.each(COMMAND_LINES)('$page: $text', async ({ text }) => {
    const [, name = '', ...words] = text.replace(/^npx /, '').split(/\s+/);
    if (name === 'help') return expect([...COMMANDS.keys(), undefined]).toContain(words[0]);
    const entry = COMMANDS.get(name);
    expect(entry, `a command "${name}"`).toBeDefined();
    const command = await entry?.load();
    const known = command?.options.flatMap(({ flags }) => flags.match(/(?<!\S)--?[a-z-]+/gi) ?? []) ?? [];
    for (const word of words.filter((each) => /^--?[a-z]/.test(each))) expect([...known, '--help']).toContain(word);
  });
});
