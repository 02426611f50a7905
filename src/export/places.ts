/** Where in an application's URL map the static files and the health check are. */
import { resolve } from 'node:path';
import { type Context, isComposite } from '../deploy/context.ts';
import { innerContexts } from '../deploy/outline.ts';

/** A directory that a web server may serve by itself. */
export interface StaticRoot {
  /** With a slash at its end: `/static/`. */
  readonly path: string;
  /** Absolute, without a slash at its end. */
  readonly directory: string;
  readonly dotfiles: boolean;
}

export interface AppPlaces {
  readonly staticRoots: readonly StaticRoot[];
  /** The path of `npm:paster#health`. */
  readonly health: string | undefined;
}

const STATIC = 'npm:paster#static';
const HEALTH = 'npm:paster#health';
const URLMAP = 'npm:paster#urlmap';

/** Filters that neither refuse nor hide what is behind them: who goes round them loses nothing. */
const OPEN_FILTERS: ReadonlySet<string> = new Set(
  [
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
  ].map((name) => `npm:paster#${name}`),
);

/** Paths that browsers and people can type; whatever else a URL map may have stays with the application. */
const PLAIN_PATH = /^(?:\/[A-Za-z0-9._~-]+)+$/;

/** Follows URL maps, and filters that let everybody through: a web server must not serve what a filter would refuse. */
export async function placesOf(app: Context): Promise<AppPlaces> {
  const staticRoots: StaticRoot[] = [];
  let health: string | undefined;
  const visit = async (context: Context, path: string, isOpen: boolean): Promise<void> => {
    if (context.form !== 'factory') {
      const inner = await innerContexts(context);
      const behind = inner.at(-1)?.context;
      const filtersOpen = inner.slice(0, -1).every((each) => lets(each.context));
      if (behind) await visit(behind, path, isOpen && filtersOpen);
      return;
    }
    const { description } = context.target;
    const root = context.localConf['document_root'];
    if (description === HEALTH) health ??= path === '' ? '/' : path;
    if (description === STATIC && root !== undefined && isOpen && path !== '') {
      const directory = resolve(context.globalConf['here'] ?? '', root);
      staticRoots.push({ path: `${path}/`, directory, dotfiles: context.localConf['dotfiles'] === 'allow' });
    }
    if (description !== URLMAP || !isComposite(context)) return;
    for (const { key = '', context: part } of await innerContexts(context)) {
      const below = key.replace(/\/+/g, '/').replace(/\/$/, '');
      if (key.startsWith('/') && (below === '' || PLAIN_PATH.test(below))) await visit(part, `${path}${below}`, isOpen);
    }
  };
  await visit(app, '', true);
  return { staticRoots, health };
}

function lets(filter: Context): boolean {
  return filter.form === 'factory' && OPEN_FILTERS.has(filter.target.description);
}
