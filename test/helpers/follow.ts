/**
 * A test for each way of a page that a reader can follow: its second-level sections that have something to type. A section
 * begins with the files that the page shows before its first section. What is typed as root, or in a project that no page
 * shows, is typed on a machine of its own.
 */
import { test } from 'vitest';
import { type Block, type Command, commandsOf, hasCommands, isAnswer, partsOf } from './documentation.ts';
import { mayHaveMachine } from './fresh-machine.ts';
import { requireProgram } from './program.ts';
import { Reader } from './reader.ts';

/** Milliseconds for the longest of them. */
const LIMIT = 180_000;

export interface Following {
  /** All sections are one way. */
  readonly isOneWay?: boolean;
  /** Its files are those of a project that is there. */
  readonly isOfProject?: boolean;
  /** Whether a command is typed; default: all are. */
  readonly isTyped?: (command: string) => boolean;
}

interface Way {
  readonly name: string;
  readonly blocks: readonly Block[];
}

/** Declares the tests of a page. */
export function follow(
  page: string,
  { isOneWay = false, isOfProject = false, isTyped = () => true }: Following = {},
): void {
  for (const { name, blocks } of ways(page, isOneWay)) {
    const ofProject = isOfProject || blocks.every(({ file }) => file === undefined);
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
}

function ways(page: string, isOneWay: boolean): Way[] {
  const parts = partsOf(page);
  const typed = parts.filter(({ blocks }) => hasCommands(blocks));
  if (typed.length === 0) return [];
  if (isOneWay) return [{ name: page, blocks: parts.flatMap(({ blocks }) => blocks) }];
  return typed.map((part) => {
    const files = part === parts[0] ? [] : (parts[0]?.blocks ?? []).filter(({ file }) => file !== undefined);
    return { name: `${page}: ${part.heading}`, blocks: [...files, ...part.blocks] };
  });
}

/** Programs of the system that a page's commands are about. */
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
  return / --(?:as-)?user |(?<![\w.)])\/(?:etc|srv)\b/.test(typedIn(blocks));
}

function isPossible(blocks: readonly Block[]): boolean {
  const typed = typedIn(blocks);
  const needed = PROGRAMS.filter((name) => new RegExp(`\\b${name}\\s`).test(typed));
  if (commandsIn(blocks).some(({ shown }) => shown.some(isAnswer))) needed.push('script');
  return ['bash', ...needed].every((name) => requireProgram(name) !== undefined);
}
