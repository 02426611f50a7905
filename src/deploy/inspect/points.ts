/** The entry points visible from a directory, with the meaning and the settings that they declare. */
import type { ConfigError } from '../../errors.ts';
import { commandProcessSettings } from '../background/command-process.ts';
import { backgroundSettings } from '../background/process-settings.ts';
import { programProcessSettings } from '../background/program-process.ts';
import { requestTaskSettings } from '../background/request-task.ts';
import { taskSettings } from '../background/task-settings.ts';
import { asLoadingStep } from '../loading-step.ts';
import { moduleTarget } from '../modules/module-target.ts';
import { installedPackages, type PackageInfo } from '../modules/packages.ts';
import { FACTORY_KINDS } from '../part-kinds.ts';
import { declaredSchema, schemaOf } from '../schema.ts';
import { applicationSettings } from '../sections/application-settings.ts';
import { pasterSettings } from '../server/paster-section.ts';
import { processSettings } from '../server/server-settings.ts';
import { declaredSettings, jsonSchemaSettings, type PointSetting } from './described-settings.ts';

/** The group of the project templates of `create`. */
export const CREATE_TEMPLATE = 'paste.paster_create_template';

/** The groups that paster uses; packages can declare others. */
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
  /** Set by `withDeclaration`. */
  readonly declared: PointDeclaration | undefined;
}

/** What the factory of a part declares. */
export interface PointDeclaration {
  /** Its purpose, in a line. */
  readonly meaning: string | undefined;
  /** Undefined if the schema cannot describe them. */
  readonly settings: readonly PointSetting[] | undefined;
  /** Further keys that its section may have. */
  readonly otherKeys: string | undefined;
  /** Keys of older systems that have no effect, each with the reason. */
  readonly obsolete: Readonly<Record<string, string>>;
  /** The library of the Standard Schema. */
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
 * The point with the declarations of its factory, which it imports: paster's own, or a Standard Schema that can describe
 * itself (https://standardschema.dev/json-schema).
 * @throws PasterError if the module cannot be imported
 */
export async function withDeclaration(point: Point): Promise<Point> {
  // Templates are directories, and other groups can be anything.
  if (!KNOWN_GROUPS.includes(point.group) || point.group === CREATE_TEMPLATE) return point;
  const what = `${point.package}#${point.name} (${point.target})`;
  const factory = await asLoadingStep({ what, location: undefined }, () =>
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
    return { meaning: undefined, settings: jsonSchemaSettings(schema), otherKeys: undefined, obsolete: {}, vendor };
  }
  const { meaning, declarations, others, obsolete } = declared;
  return { meaning, settings: declaredSettings(declarations), otherKeys: others?.help, obsolete, vendor };
}

/** The settings of every server, which the process layer reads. */
export function commonServerSettings(): PointSetting[] {
  return declaredSettings(processSettings.declarations);
}

/** The settings of the section `[paster]`. */
export function pasterSectionSettings(): PointSetting[] {
  return declaredSettings(pasterSettings.declarations);
}

/** The settings of every application, which paster itself reads. */
export function commonAppSettings(): PointSetting[] {
  return declaredSettings(applicationSettings.declarations);
}

/** The settings of every background process, which paster itself reads. */
export function commonProcessSettings(): PointSetting[] {
  return declaredSettings(backgroundSettings.declarations);
}

/** The settings of every task, which paster itself reads. */
export function commonTaskSettings(): PointSetting[] {
  return declaredSettings(taskSettings.declarations);
}

/** The kinds of background processes and tasks that need no entry point: the line that chooses one, and its settings. */
export function ownProcesses(): {
  readonly written: string;
  readonly meaning: string;
  readonly settings: PointSetting[];
}[] {
  return (
    [
      ['use = program:FILE', programProcessSettings],
      ['command = PROGRAM ARGUMENTS', commandProcessSettings],
      ['request = METHOD PATH', requestTaskSettings],
    ] as const
  ).map(([written, { meaning = '', declarations }]) => ({
    written,
    meaning,
    settings: declaredSettings(declarations),
  }));
}

/** The settings of a section that uses the point; for a server including those of the process layer. */
export function settingsOfPoint({ group, declared }: Point): PointSetting[] | undefined {
  const own = declared?.settings;
  const common =
    group === 'paste.server_factory'
      ? commonServerSettings()
      : group === 'paste.process_factory'
        ? commonProcessSettings()
        : [];
  if (own === undefined || common.length === 0) return own && [...own];
  const byName = new Map([...common, ...own].map((setting) => [setting.name, setting]));
  return [...byName.values()];
}
