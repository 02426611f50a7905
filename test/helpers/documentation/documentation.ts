/** The content of the documentation, for tests that run it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../programs/program.ts';

/** Every page: README.md and the files of docs/. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

export function readPage(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

/** The fenced blocks below a heading of a page, up to the next heading. @throws Error if there are none. */
export function blocksBelow(page: string, heading: string): string[] {
  const sections = readPage(page).split(/^#+ /m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`));
  const blocks = [...(section ?? '').matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, block = '']) => block);
  if (blocks.length === 0) throw new Error(`${page} has no block below "${heading}"`);
  return blocks;
}

/** The first of these blocks. */
export function blockBelow(page: string, heading: string): string {
  return blocksBelow(page, heading)[0] ?? '';
}

/** A fenced block: a file to write, or what a reader types and sees. */
export interface Block {
  readonly language: string;
  /** The file's path, from the block's first line or the line of the fence; undefined for any other block. */
  readonly file: string | undefined;
  readonly text: string;
}

/** A part of a page that a reader can follow from its start. */
export interface Part {
  readonly heading: string;
  readonly blocks: readonly Block[];
}

/** Whether the part has commands to type. */
export function hasCommands(blocks: readonly Block[]): boolean {
  return blocks.some(({ language }) => language === 'console');
}

const FENCED = /^```(\w*)(?: (\S+))?\n(.*?)^```$/gms;
const NAMED = /^(?:#|\/\/|<!--|\/\*) ([\w.+-]*[./][\w./+-]*)(?: -->| \*\/)?\n/;

/** The page's second-level sections; the first part is the text before them. */
export function partsOf(page: string): Part[] {
  return splitSections(readPage(page)).map((section) => ({
    heading: /^#+ (.*)$/m.exec(section)?.[1] ?? '',
    blocks: [...section.matchAll(FENCED)].map(([, language = '', given, text = '']) => ({
      language,
      file: given ?? NAMED.exec(text)?.[1],
      text,
    })),
  }));
}

/** Splits a page before each heading of the second level; a comment in a fenced block is not a heading. */
function splitSections(page: string): string[] {
  const sections = [''];
  let fenced = false;
  for (const line of page.split('\n')) {
    if (line.startsWith('```')) fenced = !fenced;
    if (!fenced && line.startsWith('## ')) sections.push('');
    sections[sections.length - 1] += `${line}\n`;
  }
  return sections;
}

/** A command typed at a prompt, and its output. */
export interface Command {
  readonly typed: string;
  readonly shown: readonly string[];
}

/** A line that is typed when a program asks for it, at its own prompt: `> asked`. */
export function isAnswer(line: string): boolean {
  return line === '>' || line.startsWith('> ');
}

/** The commands of a `console` block: each line that begins with `$ `, with the lines up to the next; `^C` is one too. */
export function commandsOf({ text }: Block): Command[] {
  const commands: { typed: string; shown: string[] }[] = [];
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('$ ')) commands.push({ typed: line.slice(2), shown: [] });
    else if (line === '^C') commands.push({ typed: line, shown: [] });
    else commands.at(-1)?.shown.push(line);
  }
  return commands;
}
