/** What the documentation shows, for tests that run it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './program.ts';

/** The fenced blocks below a heading of a page, up to the next heading. @throws Error where there is none. */
export function blocksBelow(page: string, heading: string): string[] {
  const sections = readFileSync(join(ROOT, page), 'utf8').split(/^#+ /m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`));
  const blocks = [...(section ?? '').matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, block = '']) => block);
  if (blocks.length === 0) throw new Error(`${page} has no block below "${heading}"`);
  return blocks;
}

/** The first of them. */
export function blockBelow(page: string, heading: string): string {
  return blocksBelow(page, heading)[0] ?? '';
}
