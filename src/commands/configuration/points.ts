/** `paster points`: lists the entry points of paster and of the packages around the working directory. */
import { didYouMean } from '../../config/nearest.ts';
import { KNOWN_GROUPS, listPoints, type Point, settingsOfPoint, withDeclaration } from '../../deploy/inspect/points.ts';
import { guardLoading } from '../../deploy/loading-step.ts';
import { EXIT_OK, formatError, PasterError, UsageError } from '../../errors.ts';
import { printableLine } from '../../printable.ts';
import { workingDirectory } from '../../working-directory.ts';
import { type Command, type Console, flagOption } from '../command-line/command.ts';
import { jsonArray, jsonObject, jsonText, jsonValue } from '../command-line/json.ts';
import { pointsMarkdown } from './points-markdown.ts';

export const pointsCommand: Command = {
  name: 'points',
  summary: 'list the parts that an INI file can use',
  args: [['[group]', 'only this group, such as paste.app_factory']],
  options: [
    { flags: '--json', help: 'as JSON, with the settings of each part' },
    { flags: '--markdown', help: 'as a page of documentation, with the settings of each part' },
  ],
  examples: [
    ['paster points', 'all of them, by group'],
    ['paster points paste.server_factory', 'the servers'],
    ['paster points --markdown > parts.md', 'documentation of all parts in this project'],
  ],
  run: points,
};

async function points(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const warn = (error: PasterError): void => console.err(`paster: warn: ${formatError(error)}`);
  const all = await listPoints(workingDirectory(), warn);
  const [group] = args;
  const groups = group === undefined ? groupsOf(all) : [knownGroup(group, all)];
  const listed = all.filter((point) => groups.includes(point.group));
  const [json, markdown] = [flagOption(options, 'json'), flagOption(options, 'markdown')];
  if (json && markdown) throw new UsageError('PASTER_USAGE', 'points: --json and --markdown are mutually exclusive');
  // A plain list must not run the code of other packages.
  const needsDeclaration = (point: Point): boolean => json || markdown || point.package === 'paster';
  const declared: Point[] = [];
  // One after the other, so that a module that never finishes loading can be named.
  const load = async (): Promise<void> => {
    for (const point of listed) declared.push(needsDeclaration(point) ? await loadDeclaration(point, warn) : point);
  };
  await guardLoading(load, console.err);
  const write = json ? pointsJson : markdown ? pointsMarkdown : pointsText;
  console.out(write(groups, declared));
  return EXIT_OK;
}

/** The point with its declaration; without one if it cannot be imported. */
async function loadDeclaration(point: Point, warn: (error: PasterError) => void): Promise<Point> {
  try {
    return await withDeclaration(point);
  } catch (error) {
    if (!(error instanceof PasterError)) throw error;
    warn(error);
    return point;
  }
}

function groupsOf(all: readonly Point[]): string[] {
  return [...new Set(all.map(({ group }) => group))];
}

function knownGroup(group: string, all: readonly Point[]): string {
  const known = [...new Set([...KNOWN_GROUPS, ...groupsOf(all)])];
  if (known.includes(group)) return group;
  const prefixed = known.find((each) => each === `paste.${group}`);
  throw new UsageError('PASTER_USAGE', `points: there is no group "${group}"`, {
    hint: didYouMean(prefixed ?? group, known),
  });
}

function pointsText(groups: readonly string[], points: readonly Point[]): string {
  const blocks = groups.map((group) => {
    const listed = points.filter((point) => point.group === group);
    const names = listed.map((point) => printableLine(`${point.package}#${point.name}`));
    const width = Math.max(0, ...names.map((name) => name.length));
    const lines = listed.map(
      (point, index) => `  ${(names[index] ?? '').padEnd(width)}  ${point.declared?.meaning ?? ''}`,
    );
    return [printableLine(group), ...(lines.length > 0 ? lines.map((line) => line.trimEnd()) : ['  (none)'])].join(
      '\n',
    );
  });
  return blocks.join('\n\n');
}

function pointsJson(groups: readonly string[], points: readonly Point[]): string {
  const members = groups.map(
    (group) => [group, jsonArray(points.filter((point) => point.group === group).map(pointJson))] as const,
  );
  return jsonObject([
    ['directory', jsonText(workingDirectory())],
    ['groups', jsonObject(members)],
  ]);
}

function pointJson(point: Point): string {
  const members: [string, string][] = [
    ['package', jsonText(point.package)],
    ['name', jsonText(point.name)],
    ['uri', jsonText(`npm:${point.package}#${point.name}`)],
    ['target', jsonText(point.target)],
    ['root', jsonText(point.root)],
  ];
  const meaning = point.declared?.meaning;
  if (meaning !== undefined) members.push(['meaning', jsonText(meaning)]);
  const settings = settingsOfPoint(point);
  if (settings) {
    const items = settings.map((setting) =>
      jsonObject(
        Object.entries(setting).flatMap(([name, value]) => (value === undefined ? [] : [[name, jsonValue(value)]])),
      ),
    );
    members.push(['settings', jsonArray(items)]);
  }
  const { otherKeys, vendor } = point.declared ?? {};
  if (otherKeys !== undefined) members.push(['otherKeys', jsonText(otherKeys)]);
  if (vendor !== undefined && vendor !== 'paster') members.push(['schema', jsonText(vendor)]);
  return jsonObject(members);
}
