/**
 * The pages that a reader follows: every file that they show is written, every command of a `console` block is typed, and
 * says what stands below it. A section begins with what the page shows before its first section; the tutorial is one way.
 */
import { describe, test } from 'vitest';
import { type Block, PAGES, type Part, partsOf } from './helpers/documentation.ts';
import { requireProgram } from './helpers/program.ts';
import { Reader } from './helpers/reader.ts';

/** Milliseconds for the longest of them. */
const LIMIT = 180_000;

const ONE_WAY = new Set(['docs/tutorial.md']);

function hasCommands({ blocks }: Part): boolean {
  return blocks.some(({ language }) => language === 'console');
}

function ways(page: string): { readonly name: string; readonly blocks: readonly Block[] }[] {
  const parts = partsOf(page);
  if (!parts.some(hasCommands)) return [];
  if (ONE_WAY.has(page)) return [{ name: page, blocks: parts.flatMap(({ blocks }) => blocks) }];
  const [before, ...sections] = parts;
  return sections
    .filter(hasCommands)
    .map(({ heading, blocks }) => ({ name: `${page}: ${heading}`, blocks: [...(before?.blocks ?? []), ...blocks] }));
}

/** Programs of the system that a page's commands are about. */
const PROGRAMS = ['bash', 'curl', 'nginx', 'openssl'];

function isPossible(blocks: readonly Block[]): boolean {
  const typed = blocks
    .filter(({ language }) => language === 'console')
    .map(({ text }) => text)
    .join('');
  const needed = PROGRAMS.filter((name) => name === 'bash' || new RegExp(`\\b${name} `).test(typed));
  return needed.every((name) => requireProgram(name) !== undefined);
}

describe('what the documentation says to do', () => {
  for (const { name, blocks } of PAGES.flatMap(ways)) {
    test.skipIf(!isPossible(blocks))(
      name,
      async () => {
        const reader = await Reader.start();
        await reader.follow(blocks);
      },
      LIMIT,
    );
  }
});
