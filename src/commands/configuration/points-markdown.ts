/** `paster points --markdown`: the entry points as a page of documentation. docs/reference.md is made with it too. */
import type { PointSetting } from '../../deploy/inspect/described-settings.ts';
import {
  commonAppSettings,
  commonProcessSettings,
  commonServerSettings,
  commonTaskSettings,
  ownProcesses,
  type Point,
  pasterSectionSettings,
} from '../../deploy/inspect/points.ts';
import { eggUrisOf } from '../../deploy/modules/paste-names.ts';

/** Headings of the groups that paster knows. */
const TITLES: Readonly<Record<string, string>> = {
  'paste.app_factory': 'Applications',
  'paste.composite_factory': 'Composites',
  'paste.filter_factory': 'Filters',
  'paste.filter_app_factory': 'Filters that are applications',
  'paste.server_factory': 'Servers',
  'paste.server_runner': 'Server runners',
  'paste.process_factory': 'Background processes and tasks',
  'paste.app_install': 'Installers',
  'paste.paster_create_template': 'Templates',
};

/** A page of these groups, with a heading for each part. */
export function pointsMarkdown(groups: readonly string[], points: readonly Point[]): string {
  const blocks = groups.flatMap((group) => {
    const parts = partsOf(points.filter((point) => point.group === group));
    if (group === 'paste.process_factory') {
      return [groupHeading(group), ...processBlocks(), ...parts.flatMap(partBlocks)];
    }
    return parts.length === 0 ? [] : [groupHeading(group), ...commonOf(group, parts), ...parts.flatMap(partBlocks)];
  });
  return blocks.join('\n\n');
}

/** All entry points of one target: one part under several names. */
type Part = readonly [Point, ...Point[]];

function partsOf(points: readonly Point[]): Part[] {
  const parts = new Map<string, [Point, ...Point[]]>();
  for (const point of points) {
    const key = `${point.root} ${point.target}`;
    const part = parts.get(key);
    if (part) part.push(point);
    else parts.set(key, [point]);
  }
  return [...parts.values()].sort(([one], [other]) => (titleOf(one) < titleOf(other) ? -1 : 1));
}

function groupHeading(group: string): string {
  const title = TITLES[group];
  return title === undefined ? `## ${code(group)}` : `## ${title} (${code(group)})`;
}

/** The settings that all applications or servers have. */
function commonOf(group: string, parts: readonly Part[]): string[] {
  if (group === 'paste.app_factory') return ['### Every application', settingsTable(commonAppSettings())];
  if (group !== 'paste.server_factory' || !parts.some(([{ declared }]) => declared)) return [];
  return [
    '### Every server',
    settingsTable(commonServerSettings()),
    `### The section ${code('[paster]')}`,
    settingsTable(pasterSectionSettings()),
  ];
}

/** What `[process:*]` and `[task:*]` sections have without any entry point. */
function processBlocks(): string[] {
  return [
    '### Every process',
    settingsTable(commonProcessSettings()),
    '### Every task',
    settingsTable(commonTaskSettings()),
    ...ownProcesses().flatMap(({ written, meaning, settings }) => [
      `### ${code(written)}`,
      sentence(meaning),
      settingsTable(settings),
    ]),
  ];
}

function partBlocks(part: Part): string[] {
  const [point] = part;
  const { meaning, settings, otherKeys, obsolete = {}, vendor } = point.declared ?? {};
  const blocks = [`### ${cell(titleOf(point))}`];
  if (meaning !== undefined) blocks.push(sentence(meaning));
  blocks.push(part.flatMap(namesOf).map(code).join(', '));
  if (settings && settings.length > 0) blocks.push(settingsTable(settings));
  if (otherKeys !== undefined) blocks.push(sentence(`Other keys: ${cell(otherKeys)}`));
  if (Object.keys(obsolete).length > 0) blocks.push(`Without effect: ${withoutEffect(obsolete)}.`);
  if (vendor !== undefined && settings === undefined)
    blocks.push(`${vendor} checks its settings, and does not describe them.`);
  return blocks;
}

/** Adds a capital, unless the text begins with code such as `req.session`, and a full stop if it lacks one. */
function sentence(text: string): string {
  const begun = /^[a-z]+(?!\w|[.:/#=]\w)/.test(text) ? `${text[0]?.toUpperCase()}${text.slice(1)}` : text;
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function titleOf({ package: owner, name }: Point): string {
  return owner === 'paster' ? name : `${owner}#${name}`;
}

function namesOf({ package: owner, name, group }: Point): string[] {
  const isPart = group !== 'paste.paster_create_template';
  return [`npm:${owner}#${name}`, ...(owner === 'paster' && isPart ? eggUrisOf(group, name) : [])];
}

function settingsTable(settings: readonly PointSetting[]): string {
  const rows = settings.map(({ name, aliases, allowed, required, default: value, help, example }) => {
    const names = [name, ...aliases].map(code).join(', ');
    const meaning = [help, ...(example === undefined ? [] : [`Example: ${code(example)}`])].join(' ').trim();
    return `| ${names} | ${cell(allowed)} | ${required ? 'required' : defaultText(value)} | ${cell(meaning)} |`;
  });
  return ['| setting | allowed | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** Lists the keys, those with the same reason together. */
function withoutEffect(obsolete: Readonly<Record<string, string>>): string {
  const keys = new Map<string, string[]>();
  for (const [key, reason] of Object.entries(obsolete)) keys.set(reason, [...(keys.get(reason) ?? []), code(key)]);
  return [...keys].map(([reason, names]) => `${names.join(', ')} (${cell(reason)})`).join('; ');
}

/** An empty default is left out. */
function defaultText(value: unknown): string {
  const isObject = typeof value === 'object' && value !== null;
  const text = isObject ? Object.values(value).join(' ') : String(value ?? '');
  return text === '' ? '' : code(text);
}

/** A text as code, even if it contains backquotes. */
function code(text: string): string {
  const fence = text.includes('`') ? '``' : '`';
  return `${fence}${cell(text)}${fence}`;
}

/** Escapes a text for a cell of a table. */
function cell(text: string): string {
  return text.replace(/\s+/g, ' ').replaceAll('|', '\\|');
}
