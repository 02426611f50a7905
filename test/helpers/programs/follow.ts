/**
 * Declares a test for each second-level section with commands. A section starts with the files that the page shows
 * before its first section, or in a new project if it shows none. Sections with other users need root.
 */
import { test } from 'vitest';
import {
  type Block,
  type Command,
  commandsOf,
  hasCommands,
  isAnswer,
  partsOf,
} from '../documentation/documentation.ts';
import { mayHaveMachine } from '../documentation/fresh-machine.ts';
import { type ProductProject, Reader } from '../documentation/reader.ts';
import { requireProgram } from './program.ts';

/** The time limit of each test in milliseconds, which the longest page needs. */
const LIMIT = 180_000;

export interface Following {
  /** Each section continues where the one before it ended, so all of them are one test. Default: each section is a test. */
  readonly isContinuous?: boolean;
  /** The page uses the files of an existing project. */
  readonly isOfProject?: boolean;
  /** Puts the project of the page into a directory; `missing` if its product is not installed. Default: the page shows its files. */
  readonly project?: ((directory: string) => ProductProject) | 'missing' | undefined;
  /** Whether a command is typed; default: all are. */
  readonly isTyped?: (command: string) => boolean;
}

/** What one test follows. */
interface Walk {
  readonly name: string;
  readonly blocks: readonly Block[];
}

/** Declares the tests of a page. */
export function follow(
  page: string,
  { isContinuous = false, isOfProject = false, project, isTyped = () => true }: Following = {},
): void {
  for (const { name, blocks } of walksOf(page, isContinuous)) {
    const ofProject = isOfProject || blocks.every(({ file }) => file === undefined);
    test.skipIf(project === 'missing' || !isPossible(blocks) || !mayHaveMachine(isForRoot(blocks)))(
      name,
      async () => {
        // The pages call their project /srv/shop, even if they create its directory themselves.
        const reader = await Reader.start(/^mkdir -p shop\//m.test(typedIn(blocks)) ? '/srv' : '/srv/shop');
        if (typeof project === 'function') reader.putProject(project);
        else if (ofProject && !/ create /.test(typedIn(blocks))) await reader.createProject();
        await reader.follow(blocks, isTyped);
      },
      LIMIT,
    );
  }
}

function walksOf(page: string, isContinuous: boolean): Walk[] {
  const parts = partsOf(page);
  const typed = parts.filter(({ blocks }) => hasCommands(blocks));
  if (typed.length === 0) return [];
  if (isContinuous) return [{ name: page, blocks: parts.flatMap(({ blocks }) => blocks) }];
  return typed.map((part) => {
    const files = part === parts[0] ? [] : (parts[0]?.blocks ?? []).filter(({ file }) => file !== undefined);
    return { name: `${page}: ${part.heading}`, blocks: [...files, ...part.blocks] };
  });
}

/** Programs of the system that the commands of a page need. */
const PROGRAMS = ['apache2', 'caddy', 'curl', 'fish', 'git', 'haproxy', 'lighttpd', 'nginx', 'openssl', 'zsh'];

function commandsIn(blocks: readonly Block[]): Command[] {
  return blocks.filter(({ language }) => language === 'console').flatMap(commandsOf);
}

function typedIn(blocks: readonly Block[]): string {
  return commandsIn(blocks)
    .map(({ typed }) => `${typed}\n`)
    .join('');
}

function isForRoot(blocks: readonly Block[]): boolean {
  // An nginx that root starts gives its workers another user. The configuration that `export` writes for a trial does not.
  if (blocks.some(({ language, file }) => language === 'nginx' && file !== undefined)) return true;
  return / --(?:as-)?user |(?<![\w.)])\/(?:etc|srv)\b/.test(typedIn(blocks));
}

function isPossible(blocks: readonly Block[]): boolean {
  const typed = typedIn(blocks);
  const needed = PROGRAMS.filter((name) => new RegExp(`\\b${name}\\s`).test(typed));
  if (commandsIn(blocks).some(({ shown }) => shown.some(isAnswer))) needed.push('script');
  return ['bash', ...needed].every((name) => requireProgram(name) !== undefined);
}
