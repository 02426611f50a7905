/** Pages, help and messages use the words of the field: textlint checks them with our list of terms. */
import { createRequire } from 'node:module';
import { TextlintKernel, type TextlintKernelOptions } from '@textlint/kernel';
import { expect, test } from 'vitest';
import { COMMANDS } from '../../src/commands/command-line/command-table.ts';
import { TERMS } from '../fixtures/terminology.ts';
import { PAGES, readPage } from '../helpers/documentation/documentation.ts';
import { allMessages } from '../helpers/documentation/messages.ts';
import { runHere } from '../helpers/programs/command.ts';

const PROJECT = ['ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'bench/README.md'];

const kernel = new TextlintKernel();

/** Requires textlint's plugins, which are CommonJS modules or have no types. */
function load<T>(name: string): T {
  return createRequire(import.meta.url)(name).default;
}

const OPTIONS: TextlintKernelOptions = {
  ext: '.md',
  plugins: ['markdown', 'text'].map((pluginId) => ({
    pluginId,
    plugin: load(`@textlint/textlint-plugin-${pluginId}`),
  })),
  rules: [
    {
      ruleId: 'terminology',
      rule: load('textlint-rule-terminology'),
      options: { defaultTerms: false, skip: [], terms: TERMS },
    },
  ],
};

/** @returns `line: message` for each term on the list */
async function findings(content: string, ext: '.md' | '.txt'): Promise<string[]> {
  const { messages } = await kernel.lintText(content, { ...OPTIONS, ext });
  return messages.map(({ line, message }) => `${line}: ${message}`);
}

test.each([...PAGES, ...PROJECT])('%s uses no term on the list', async (page) => {
  expect(await findings(readPage(page), '.md')).toEqual([]);
});

test.each([...COMMANDS.keys()])('paster help %s uses no term on the list', async (command) => {
  const { stdout } = await runHere(['help', command]);
  expect(stdout).not.toBe('');
  expect(await findings(stdout, '.txt')).toEqual([]);
});

test('messages use no term on the list', async () => {
  const messages = allMessages();
  const found = await findings(messages.map(({ text }) => text.replaceAll('\n', ' ')).join('\n'), '.txt');
  const placed = found.map((each) => `src/${messages[Number.parseInt(each, 10) - 1]?.place}: ${each}`);
  expect(placed).toEqual([]);
});

test('a term is found in each kind of text, and not in code', async () => {
  expect(await findings('Say it *anew*.\n\n| a mistake |\n| --- |\n| `anew` |\n\n    anew\n', '.md')).toHaveLength(2);
});
