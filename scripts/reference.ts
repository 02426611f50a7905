/** `npm run docs` writes docs/reference.md: every built-in part and every command, from their declarations. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from '../src/commands/command-line/command.ts';
import { COMMANDS } from '../src/commands/command-line/command-table.ts';
import { pointsMarkdown } from '../src/commands/configuration/points-markdown.ts';
import { listPoints, withDeclaration } from '../src/deploy/inspect/points.ts';
import { FACTORY_KINDS } from '../src/deploy/part-kinds.ts';

const ROOT = join(import.meta.dirname, '..');
export const REFERENCE = join(ROOT, 'docs/reference.md');

const HEAD = `# Reference

<!-- Made by "npm run docs" from what parts and commands declare: changes belong there. -->

Every built-in part with its names and settings, and every command with its options. \`paster points --markdown\` writes the
first for a project, the parts of installed packages included. A setting without a default is left out unless it is required;
paths are relative to the INI file.`;

/** The whole page. */
export async function referencePage(): Promise<string> {
  const points = (await listPoints(ROOT, () => {})).filter(({ package: owner }) => owner === 'paster');
  const parts = pointsMarkdown(FACTORY_KINDS, await Promise.all(points.map(withDeclaration)));
  const commands = await Promise.all([...COMMANDS.values()].map((entry) => entry.load()));
  return `${[HEAD, parts, '## Commands', ...commands.map(commandText)].join('\n\n')}\n`;
}

function commandText({ name, summary, args, options, examples }: Command): string {
  const usage = ['paster', name, ...(options.length > 0 ? ['[options]'] : []), ...args.map(([argument]) => argument)];
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, meaning]) => `${line.padEnd(width)}  # ${meaning}`);
  const table = [...args, ...options.map(({ flags, help }) => [flags, help] as const)];
  return [
    `### ${name}`,
    `${summary[0]?.toUpperCase()}${summary.slice(1)}.`,
    `\`${usage.join(' ')}\``,
    ...(table.length > 0 ? [optionTable(table)] : []),
    ['```sh', ...lines, '```'].join('\n'),
  ].join('\n\n');
}

function optionTable(rows: readonly (readonly [name: string, help: string])[]): string {
  const escaped = rows.map((row) => row.map((text) => text.replaceAll('|', '\\|')));
  return [
    '| argument, option | meaning |',
    '| --- | --- |',
    ...escaped.map(([name, help]) => `| \`${name}\` | ${help} |`),
  ].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(REFERENCE, await referencePage());
