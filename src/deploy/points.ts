/** The entry points that can be named around a directory, and what they say of themselves: meaning and settings. */
import type { ConfigError } from '../errors.ts';
import { type PointSetting, settingsOf, settingsOfJsonSchema } from './described-settings.ts';
import { installedPackages, type PackageInfo } from './entry-points.ts';
import { FACTORY_KINDS } from './kinds.ts';
import { moduleTarget } from './module-target.ts';
import { processSettings } from './server-settings.ts';
import { asStep } from './unsettled.ts';
import { declaredSchema, schemaOf } from './validate.ts';

/** The group of the directories that `create` makes projects of. */
export const CREATE_TEMPLATE = 'paste.paster_create_template';

/** The groups that mean something to paster; others are whatever a package declares. */
export const KNOWN_GROUPS: readonly string[] = [
  ...FACTORY_KINDS.filter((kind) => kind !== 'paste.composit_factory'),
  'paste.app_install',
  CREATE_TEMPLATE,
];

export interface Point {
  readonly group: string;
  readonly package: string;
  readonly name: string;
  /** `module:export`, relative to `root`. */
  readonly target: string;
  readonly root: string;
  /** What the part says of itself, once it has been asked. */
  readonly declared: PointDeclaration | undefined;
}

/** What a part says of itself. */
export interface PointDeclaration {
  /** What it is for, in a line. */
  readonly meaning: string | undefined;
  /** Undefined where something checks them that does not describe them. */
  readonly settings: readonly PointSetting[] | undefined;
  /** What other keys its section may have. */
  readonly otherKeys: string | undefined;
  /** Keys of older systems that mean nothing here, each with the reason. */
  readonly obsolete: Readonly<Record<string, string>>;
  /** The library whose Standard Schema it is. */
  readonly vendor: string;
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

/**
 * The point with what its factory declares: paster's own declarations, or a Standard Schema
 * (https://standardschema.dev/json-schema: one that can describe itself). Imports its module.
 * @throws PasterError where that cannot be imported
 */
export async function withDeclaration(point: Point): Promise<Point> {
  // Others are directories, and whatever a group of somebody's own may mean.
  if (!KNOWN_GROUPS.includes(point.group) || point.group === CREATE_TEMPLATE) return point;
  const what = `${point.package}#${point.name} (${point.target})`;
  const factory = await asStep({ what, location: undefined }, () =>
    moduleTarget(point.target, point.root, undefined).load(),
  );
  return { ...point, declared: declarationOf(factory) };
}

function declarationOf(factory: unknown): PointDeclaration | undefined {
  const schema = schemaOf(factory);
  if (!schema) return undefined;
  const { vendor } = schema['~standard'];
  const declared = declaredSchema(factory);
  if (!declared) {
    return { meaning: undefined, settings: settingsOfJsonSchema(schema), otherKeys: undefined, obsolete: {}, vendor };
  }
  const { meaning, declarations, others, obsolete } = declared;
  return { meaning, settings: settingsOf(declarations), otherKeys: others?.help, obsolete, vendor };
}

/** The settings of every server, which the process layer reads. */
export function commonServerSettings(): PointSetting[] {
  return settingsOf(processSettings.declarations);
}

/** What a section that uses the point may say; of a server also what the process layer reads. */
export function settingsOfPoint({ group, declared }: Point): PointSetting[] | undefined {
  const own = declared?.settings;
  if (own === undefined || group !== 'paste.server_factory') return own && [...own];
  const byName = new Map([...commonServerSettings(), ...own].map((setting) => [setting.name, setting]));
  return [...byName.values()];
}
