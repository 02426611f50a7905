/**
 * Wraps an application in development: responds to its errors with a page, and to paster's own paths, which that page and the reload
 * script request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context } from '../../deploy/context.ts';
import { innerContexts } from '../../deploy/inspect/outline.ts';
import { builtinPart } from '../../deploy/modules/paste-names.ts';
import { showErrors } from '../../filters/errors/error-page.ts';
import { giveDeveloperTools } from '../../http/error-page/developer-tools.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { notFound } from '../../protocol/default-handlers.ts';
import { withLifecycle } from '../../protocol/filter.ts';
import type { App } from '../../protocol/types.ts';
import { BrowserReload } from './browser-reload.ts';
import { type Development, hidesErrors } from './development.ts';
import { EditorOpener } from './open-editor.ts';

/** Puts the error page around an application, unless a filter around it responds to errors already. */
export async function withErrorPage(app: App, context: Context): Promise<App> {
  const { globalConf } = context;
  if (hidesErrors(globalConf) || (await hasErrorFilter(context))) return app;
  return withLifecycle(await showErrors(globalConf['here'])(app), [app], app.upgrade);
}

/** Whether `error_page`, by any of its names, is one of the filters around an application. */
async function hasErrorFilter(context: Context): Promise<boolean> {
  if (context.form === 'factory') {
    return context.kind === 'filter' && builtinPart(context.target.description) === 'error_page';
  }
  for (const inner of await innerContexts(context)) if (await hasErrorFilter(inner.context)) return true;
  return false;
}

const OWN_PATH = /^[^?]*\/\.paster\/([\w.-]+)(?:\?|$)/;

/**
 * Responds to paster's own paths, and lets the others find the developer's tools with their request.
 *
 * @param onPage called with each page that a browser opens and loads again after a reload
 */
export function withDeveloperTools(app: App, { secret, version }: Development, onPage?: () => void): App {
  const opener = new EditorOpener(secret);
  const reload = version === undefined ? undefined : new BrowserReload(version, onPage);
  const front: App = (req: MountedRequest, res) => {
    const own = ownPath(req);
    if (own !== undefined) return respondOwn(own, req, res, opener, reload);
    const base = outerPrefix(req) + (req.baseUrl ?? '').replace(/^\/+/, '/');
    let script = reload?.scriptPath(base);
    const takeReloadScript = (): string | undefined => {
      const taken = script;
      script = undefined;
      return taken;
    };
    giveDeveloperTools(req, { editor: opener.linksFor(req, `${base}/.paster/open-editor`), takeReloadScript });
    reload?.addScript(req, res, takeReloadScript);
    return app(req, res);
  };
  if (reload) front.drain = () => reload.drain();
  return withLifecycle(front, [app], app.upgrade);
}

function respondOwn(
  name: string,
  req: IncomingMessage,
  res: ServerResponse,
  opener: EditorOpener,
  reload: BrowserReload | undefined,
): unknown {
  if (name === 'open-editor') return opener.respond(req, res);
  if (reload && name === 'reload.js') return reload.respondScript(res);
  return reload && name === 'reload' ? reload.respondEvents(req, res) : notFound(req, res);
}

/** The prefix that a proxy has removed, if it says so. It ends up only in the response to the same request. */
function outerPrefix({ headers }: IncomingMessage): string {
  const prefix = headers['x-forwarded-prefix'];
  // "//host" would be another server's path.
  return typeof prefix === 'string' && /^(?:\/[\w.~%-]+)+\/?$/.test(prefix) ? prefix.replace(/\/$/, '') : '';
}

/** The name of one of paster's own paths, below whatever prefix the browser knows the server by. */
function ownPath({ url = '' }: IncomingMessage): string | undefined {
  return url.includes('/.paster/') ? OWN_PATH.exec(url)?.[1] : undefined;
}
