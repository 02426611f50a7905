/** What a web server in front needs to know of a composed application: its static files, its health check and its body limit. */
import { resolve } from 'node:path';
import { bool, int, list, oneOf, size } from '../config/settings/setting-types.ts';
import { type Context, type FactoryContext, isComposite } from '../deploy/context.ts';
import { innerContexts } from '../deploy/inspect/outline.ts';
import { builtinPart } from '../deploy/modules/paste-names.ts';
import { pathSetting } from '../deploy/sections/setting-paths.ts';

/** A directory that the web server may serve itself. */
export interface StaticRoot {
  /** With a slash at its end: `/static/`. */
  readonly path: string;
  /** Absolute, without a slash at its end. */
  readonly directory: string;
  /** Names of files: the first that exists is served for its directory. */
  readonly index: readonly string[];
  /** Seconds for which a browser may cache a file without a version in its URL. */
  readonly maxAge: number;
  /** The status for a path with a name that begins with a dot; undefined: the file is served. */
  readonly dotfileStatus: 403 | 404 | undefined;
  /** Whether to serve `file.br` or `file.gz` instead of `file`. */
  readonly precompressed: boolean;
}

export interface AppLayout {
  readonly staticRoots: readonly StaticRoot[];
  /** The limit in bytes of `npm:paster#bodylimit` around the whole application; undefined: none. */
  readonly bodyLimit: number | undefined;
  /** The path at which `npm:paster#health` reports whether the application is ready. */
  readonly health: string | undefined;
}

/** Filters that neither refuse nor hide anything: a web server may serve files without passing through them. */
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
  // It hides only its own prefix.
  'static',
]);

/** Paths that need no quoting in any configuration. The application serves all others. */
const PLAIN_PATH = /^(?:\/[A-Za-z0-9._~-]+)+$/;

/** Names of files that need no quoting in any configuration. */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/** Paths at which `npm:paster#static` serves a single file. */
const SINGLE_FILES: ReadonlySet<string> = new Set(['/robots.txt', '/favicon.ico']);

/** Follows URL maps and open filters: a web server must not serve a file that a filter would refuse. */
export async function layoutOf(app: Context): Promise<AppLayout> {
  const staticRoots: StaticRoot[] = [];
  const mounts: string[] = [];
  const healths: string[] = [];
  const addStaticRoot = (context: FactoryContext, path: string): void => {
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
          if (open) addStaticRoot(filter, path + urlPrefix(filter));
          mounts.push(path + urlPrefix(filter));
        }
        open &&= isOpenFilter(filter);
      }
      if (behind) await visit(behind, path, open);
      return;
    }
    const part = builtinPart(context.target.description);
    if (part === 'health') healths.push(path);
    if (isStatic(context) && isOpen) addStaticRoot(context, path);
    if (part !== 'urlmap' || !isComposite(context)) return;
    const parts = await innerContexts(context);
    // A path of one host may not exist on another.
    const isForAllHosts = parts.every(({ key = '' }) => !/^domain\s|^https?:/i.test(key));
    const byLength = parts.toSorted(({ key: one = '' }, { key: other = '' }) => other.length - one.length);
    for (const { key = '', context: mounted } of byLength) {
      const below = key.replace(/\/+/g, '/').replace(/\/$/, '');
      const mountPath = path + below;
      // A path that an outer map or a static filter handles never gets here.
      if (!key.startsWith('/') || mounts.some((mount) => isAtOrBelow(mountPath, mount) && !isAtOrBelow(path, mount)))
        continue;
      mounts.push(mountPath);
      if (below === '' || PLAIN_PATH.test(below)) await visit(mounted, mountPath, isOpen && isForAllHosts);
    }
  };
  await visit(app, '', true);
  // A web server would hide an application that is mounted below the files.
  const whole = staticRoots.filter(({ path }) => !mounts.some((mount) => mount.startsWith(path)));
  return { staticRoots: whole, bodyLimit: await bodyLimitOf(app), health: readinessPath(healths) };
}

/**
 * The smallest limit of the filters around the whole application. Filters behind a URL map are left out, since they apply to
 * a part of it. A value that is not a size is left out too: `check` and `serve` report it.
 */
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

function isAtOrBelow(path: string, mount: string): boolean {
  return path === mount || path.startsWith(`${mount}/`);
}

/** `npm:paster#health` reports readiness at a path that ends in `/readyz`. */
function readinessPath(mounts: readonly string[]): string | undefined {
  const [first] = mounts;
  return mounts.find((mount) => mount.endsWith('/readyz')) ?? (first === undefined ? undefined : `${first}/readyz`);
}

function isStatic(context: Context): context is FactoryContext {
  return context.form === 'factory' && builtinPart(context.target.description) === 'static';
}

/** The path of a static filter. */
function urlPrefix({ localConf }: FactoryContext): string {
  return `/${(localConf['url_prefix'] ?? '/static').replace(/^\/+|\/+$/g, '')}`;
}

/** Undefined if a setting is wrong, which `check` and `serve` report, or cannot be expressed for every web server. */
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

function isOpenFilter(filter: Context): boolean {
  return filter.form === 'factory' && OPEN_FILTERS.has(builtinPart(filter.target.description));
}
