/** The entry points that can be named around a directory, and what is known of paster's own: meaning and settings. */
import { acceptedNames, type Declarations, type SettingsSchema } from '../config/setting.ts';
import type { ConfigError } from '../errors.ts';
import { installedPackages, type PackageInfo } from './entry-points.ts';
import { FACTORY_KINDS } from './kinds.ts';
import { moduleTarget } from './module-target.ts';
import { processSettings } from './server-settings.ts';
import { schemaOf } from './validate.ts';

/** The groups that mean something to paster; others are whatever a package declares. */
export const KNOWN_GROUPS: readonly string[] = [
  ...FACTORY_KINDS.filter((kind) => kind !== 'paste.composit_factory'),
  'paste.app_install',
  'paste.paster_create_template',
];

/** One line a built-in part, for the list; its settings explain themselves. */
const MEANINGS: Readonly<Record<string, string>> = {
  'paste.app_factory welcome': 'a page that shows what the INI file put together',
  'paste.app_factory test': 'shows the request as the application sees it',
  'paste.app_factory static': 'the files of a directory',
  'paste.app_factory cgi': 'runs a CGI program',
  'paste.app_factory proxy': 'hands requests on to another server',
  'paste.composite_factory urlmap': 'applications by path prefix, and by host',
  'paste.composite_factory cascade': 'the first application that finds something',
  'paste.filter_factory translogger': 'a line of log for each request, in Apache’s format',
  'paste.filter_factory prefix': 'the application behind a proxy, below a prefix',
  'paste.filter_factory gzip': 'compressed answers',
  'paste.server_factory http': 'HTTP/1.1, HTTPS and HTTP/2',
  'paste.server_factory fastcgi': 'FastCGI, behind a web server',
  'paste.server_factory scgi': 'SCGI, behind a web server',
  'paste.server_factory cgi': 'one CGI request, then the end',
};

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
  readonly meaning: string | undefined;
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
      meaning: packageName === 'paster' ? MEANINGS[`${group} ${name}`] : undefined,
      declared: undefined,
    })),
  );
}

/** The point with its settings, if it is one of paster's own: only those are imported for being listed. */
export async function withSettings(point: Point): Promise<Point> {
  if (point.package !== 'paster') return point;
  const factory = await moduleTarget(point.target, point.root, undefined).load();
  const schema = schemaOf(factory);
  return schema && 'declarations' in schema ? { ...point, declared: schema as unknown as SettingsSchema } : point;
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
