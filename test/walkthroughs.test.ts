/**
 * The pages that a reader follows: every file that they show is written, every command of a `console` block is typed, and
 * says what stands below it. A section begins with the files that the page shows before its first section; the tutorial is
 * one way. What is typed as root, or in a project that no page shows, is typed on a machine of its own.
 */
import { describe, test } from 'vitest';
import { type Block, commandsOf, PAGES, type Part, partsOf } from './helpers/documentation.ts';
import { mayHaveMachine } from './helpers/fresh-machine.ts';
import { requireProgram } from './helpers/program.ts';
import { Reader } from './helpers/reader.ts';

/** Milliseconds for the longest of them. */
const LIMIT = 180_000;

const ONE_WAY = new Set(['docs/tutorial.md']);

/** Pages whose files are those of a project that is there. */
const OF_A_PROJECT = new Set(['docs/scaling.md', 'docs/secrets.md']);

/** What no test can type, and why. apt-get and systemctl are typed: what stands for them is in helpers/fresh-machine.ts. */
const NOT_TYPED: readonly (readonly [RegExp, string])[] = [
  [/^npm ci && npm (?:start|test)\b/, 'installs what these tests run with, and would run them'],
  [/^curl -i https:\/\/shop\.example\.org\//, 'Caddy would have to get a certificate from the Internet'],
  [/^systemctl daemon-reload && /, 'takes systemd itself; test/integration/systemd.test.ts speaks its protocol'],
];

function isTyped(command: string): boolean {
  return !NOT_TYPED.some(([pattern]) => pattern.test(command));
}

function hasCommands({ blocks }: Part): boolean {
  return blocks.some(({ language }) => language === 'console');
}

interface Way {
  readonly page: string;
  readonly name: string;
  readonly blocks: readonly Block[];
}

function ways(page: string): Way[] {
  const parts = partsOf(page);
  if (!parts.some(hasCommands)) return [];
  if (ONE_WAY.has(page)) return [{ page, name: page, blocks: parts.flatMap(({ blocks }) => blocks) }];
  return parts.filter(hasCommands).map((part) => {
    const files = part === parts[0] ? [] : (parts[0]?.blocks ?? []).filter(({ file }) => file !== undefined);
    return { page, name: `${page}: ${part.heading}`, blocks: [...files, ...part.blocks] };
  });
}

/** Programs of the system that a page's commands are about. */
const PROGRAMS = ['apache2', 'bash', 'caddy', 'curl', 'git', 'haproxy', 'lighttpd', 'nginx', 'openssl'];

function typedIn(blocks: readonly Block[]): string {
  const commands = blocks.filter(({ language }) => language === 'console').flatMap(commandsOf);
  return commands.map(({ typed }) => `${typed}\n`).join('');
}

function isOfProject(page: string, blocks: readonly Block[]): boolean {
  return OF_A_PROJECT.has(page) || blocks.every(({ file }) => file === undefined);
}

function isForRoot(blocks: readonly Block[]): boolean {
  return / --user |(?<![\w.)])\/(?:etc|srv)\b/.test(typedIn(blocks));
}

function isPossible(blocks: readonly Block[]): boolean {
  const typed = typedIn(blocks);
  const needed = PROGRAMS.filter((name) => name === 'bash' || new RegExp(`\\b${name}\\s`).test(typed));
  return needed.every((name) => requireProgram(name) !== undefined);
}

describe('what the documentation says to do', () => {
  for (const { page, name, blocks } of PAGES.flatMap(ways)) {
    const ofProject = isOfProject(page, blocks);
    const apart = ofProject || isForRoot(blocks);
    test.skipIf(!isPossible(blocks) || (apart && !mayHaveMachine()))(
      name,
      async () => {
        const reader = apart ? await Reader.onFreshMachine() : await Reader.start();
        if (ofProject && !/ create /.test(typedIn(blocks))) await reader.createProject();
        await reader.follow(blocks, isTyped);
      },
      LIMIT,
    );
  }
});
