/** The entry points that can be named around a directory, and what is known of paster's own: meaning and settings. */
import { acceptedNames, type Declarations, type SettingsSchema } from '../config/setting.ts';
import type { ConfigError } from '../errors.ts';
import { installedPackages, type PackageInfo } from './entry-points.ts';
import { FACTORY_KINDS } from './kinds.ts';
import { moduleTarget } from './module-target.ts';
import { processSettings } from './server-settings.ts';
import { declaredSchema } from './validate.ts';

/** The group of the directories that `create` makes projects of. */
export const CREATE_TEMPLATE = 'paste.paster_create_template';

/** The groups that mean something to paster; others are whatever a package declares. */
export const KNOWN_GROUPS: readonly string[] = [
  ...FACTORY_KINDS.filter((kind) => kind !== 'paste.composit_factory'),
  'paste.app_install',
  CREATE_TEMPLATE,
];

/** A setting as its declaration has it. */
export interface PointSetting {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly allowed: string;
  readonly default: unknown;
  readonly required: boolean;
  readonly help: string;
  readonly example: string | undefined;
}

export interface Point {
  readonly group: string;
  readonly package: string;
  readonly name: string;
  /** `module:export`, relative to `root`. */
  readonly target: string;
  readonly root: string;
  /** What the part says of itself, once it has been asked: its meaning in a line and its settings. */
  readonly declared: SettingsSchema | undefined;
}

/** All entry points, by group, package and name. */
export async function listPoints(directory: string, skipped: (error: ConfigError) => void): Promise<Point[]> {
  const packages = await installedPackages(directory, skipped);
  const points = packages.flatMap(pointsOf);
  const groups = [...new Set([...KNOWN_GROUPS, ...points.map(({ group }) => group).sort()])];
  return groups.flatMap((group) => points.filter((point) => point.group === group));
}

function pointsOf({ name: packageName, root, entryPoints }: PackageInfo): Point[] {
  return [...entryPoints].flatMap(([group, points]) =>
    [...points].map(([name, target]) => ({
      group,
      package: packageName,
      name,
      target,
      root,
      declared: undefined,
    })),
  );
}

/** The point with what it declares, if it is one of paster's own: only those are imported for being listed. */
export async function withDeclaration(point: Point): Promise<Point> {
  // A template is a directory.
  if (point.package !== 'paster' || point.group === CREATE_TEMPLATE) return point;
  return { ...point, declared: declaredSchema(await moduleTarget(point.target, point.root, undefined).load()) };
}

/** What a section that uses the point may say; of a server also what the process layer reads. */
export function settingsOfPoint({ group, declared }: Point): PointSetting[] | undefined {
  if (!declared) return undefined;
  const common: Declarations = group === 'paste.server_factory' ? processSettings.declarations : {};
  const all: Declarations = { ...common, ...declared.declarations };
  const aliases = [...acceptedNames(all)];
  return Object.entries(all).map(([name, setting]) => ({
    name,
    aliases: aliases.filter(([alias, of]) => of === name && alias !== name).map(([alias]) => alias),
    allowed: setting.type.allowed,
    default: setting.default,
    required: setting.required ?? false,
    help: setting.help,
    example: setting.example,
  }));
}
