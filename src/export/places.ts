/** Where in an application's URL map the static files and the health check are. */
import { resolve } from 'node:path';
import { bool, int, list, oneOf, size } from '../config/setting.ts';
import { type Context, type FactoryContext, isComposite } from '../deploy/context.ts';
import { innerContexts } from '../deploy/outline.ts';
import { builtinPart } from '../deploy/paste-names.ts';
import { pathSetting } from '../deploy/setting-paths.ts';

/** A directory that a web server may serve by itself. */
export interface StaticRoot {
  /** With a slash at its end: `/static/`. */
  readonly path: string;
  /** Absolute, without a slash at its end. */
  readonly directory: string;
  /** Plain names: the first of them that is there stands for its directory. */
  readonly index: readonly string[];
  /** Seconds for which a browser may use a file without a version. */
  readonly maxAge: number;
  /** What a path is answered with of which a name begins with a dot; undefined: with the file. */
  readonly dotfileStatus: 403 | 404 | undefined;
  /** `file.br` or `file.gz` in place of `file`. */
  readonly precompressed: boolean;
}

export interface AppPlaces {
  readonly staticRoots: readonly StaticRoot[];
  /** The most bytes of a body that `npm:paster#bodylimit` around the whole application lets through; undefined: any. */
  readonly bodyLimit: number | undefined;
  /** The path at which `npm:paster#health` says whether it is ready. */
  readonly health: string | undefined;
}

/** Filters that neither refuse nor hide what is behind them: who goes round them loses nothing. */
const OPEN_FILTERS: ReadonlySet<string | undefined> = new Set([
  'translogger',
  'gzip',
  'compression',
  'error_page',
  'evalerror',
  'cgitb',
  'error_catcher',
  'printdebug',
  'profile',
  'lint',
  'metrics',
  'proxy_headers',
  // It hides nothing but its prefix.
  'static',
]);

/** Paths that browsers and people can type; whatever else a URL map may have stays with the application. */
const PLAIN_PATH = /^(?:\/[A-Za-z0-9._~-]+)+$/;

/** Names that need no quotes anywhere. */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/** Where `npm:paster#static` answers with one file. */
const SINGLE_FILES: ReadonlySet<string> = new Set(['/robots.txt', '/favicon.ico']);

/** Follows URL maps, and filters that let everybody through: a web server must not serve what a filter would refuse. */
export async function placesOf(app: Context): Promise<AppPlaces> {
  const staticRoots: StaticRoot[] = [];
  const mounts: string[] = [];
  const healths: string[] = [];
  const found = (context: FactoryContext, path: string): void => {
    const root = SINGLE_FILES.has(path) || !PLAIN_PATH.test(path) ? undefined : staticRoot(context, path);
    if (root) staticRoots.push(root);
  };
  const visit = async (context: Context, path: string, isOpen: boolean): Promise<void> => {
    if (context.form !== 'factory') {
      const inner = await innerContexts(context);
      const behind = inner.pop()?.context;
      let open = isOpen;
      for (const { context: filter } of inner) {
        if (isStatic(filter)) {
          if (open) found(filter, path + urlPrefix(filter));
          mounts.push(path + urlPrefix(filter));
        }
        open &&= lets(filter);
      }
      if (behind) await visit(behind, path, open);
      return;
    }
    const part = builtinPart(context.target.description);
    if (part === 'health') healths.push(path);
    if (isStatic(context) && isOpen) found(context, path);
    if (part !== 'urlmap' || !isComposite(context)) return;
    const parts = await innerContexts(context);
    // What one host has below a path, another one may not have.
    const isForAllHosts = parts.every(({ key = '' }) => !/^domain\s|^https?:/i.test(key));
    const byLength = parts.toSorted(({ key: one = '' }, { key: other = '' }) => other.length - one.length);
    for (const { key = '', context: mounted } of byLength) {
      const below = key.replace(/\/+/g, '/').replace(/\/$/, '');
      const place = path + below;
      // What a map further out, or a filter of files, takes for itself never gets here.
      if (!key.startsWith('/') || mounts.some((mount) => isAt(place, mount) && !isAt(path, mount))) continue;
      mounts.push(place);
      if (below === '' || PLAIN_PATH.test(below)) await visit(mounted, place, isOpen && isForAllHosts);
    }
  };
  await visit(app, '', true);
  // Below the files may stand another application, which a web server would hide.
  const whole = staticRoots.filter(({ path }) => !mounts.some((mount) => mount.startsWith(path)));
  return { staticRoots: whole, bodyLimit: await bodyLimitOf(app), health: readinessPath(healths) };
}

/** Filters behind a URL map hold for a part of it; a wrong value is for `check` and `serve` to say. */
async function bodyLimitOf(app: Context): Promise<number | undefined> {
  const limits: number[] = [];
  for (let context: Context | undefined = app; context && context.form !== 'factory'; ) {
    const inner = await innerContexts(context);
    context = inner.pop()?.context;
    for (const { context: filter } of inner) {
      if (filter.form !== 'factory' || builtinPart(filter.target.description) !== 'bodylimit') continue;
      try {
        limits.push(size.parse(filter.localConf['max_body_size'] ?? STANDARD_BODY_LIMIT));
      } catch {}
    }
  }
  return limits.length === 0 ? undefined : Math.min(...limits);
}

/** The default of `max_body_size`. */
const STANDARD_BODY_LIMIT = '10M';

function isAt(path: string, mount: string): boolean {
  return path === mount || path.startsWith(`${mount}/`);
}

/** It answers wherever it is mounted, at a path that ends so. */
function readinessPath(mounts: readonly string[]): string | undefined {
  const [first] = mounts;
  return mounts.find((mount) => mount.endsWith('/readyz')) ?? (first === undefined ? undefined : `${first}/readyz`);
}

function isStatic(context: Context): context is FactoryContext {
  return context.form === 'factory' && builtinPart(context.target.description) === 'static';
}

/** Where the filter has the files. */
function urlPrefix({ localConf }: FactoryContext): string {
  return `/${(localConf['url_prefix'] ?? '/static').replace(/^\/+|\/+$/g, '')}`;
}

/** Undefined where a setting is wrong, which is for `check` and `serve` to say, or cannot be said to every web server. */
function staticRoot(context: FactoryContext, path: string): StaticRoot | undefined {
  const { localConf } = context;
  const root = pathSetting(context, 'document_root');
  if (root === undefined) return undefined;
  try {
    const index = list.parse(localConf['index'] ?? 'index.html');
    const dotfiles = oneOf('ignore', 'deny', 'allow').parse(localConf['dotfiles'] ?? 'ignore');
    if (index.length === 0 || !index.every((name) => PLAIN_NAME.test(name))) return undefined;
    return {
      path: `${path}/`,
      directory: resolve(root),
      index,
      maxAge: int({ min: 0, max: 31_536_000 }).parse(localConf['cache_max_age'] ?? '0'),
      dotfileStatus: { ignore: 404 as const, deny: 403 as const, allow: undefined }[dotfiles],
      precompressed: bool.parse(localConf['precompressed'] ?? 'false'),
    };
  } catch {
    return undefined;
  }
}

function lets(filter: Context): boolean {
  return filter.form === 'factory' && OPEN_FILTERS.has(builtinPart(filter.target.description));
}
