/** The page at the root of a new application that has none of its own yet: it shows the developer that paster runs it. */
import type { Context } from '../../deploy/context.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { interceptResponse } from '../../http/response/response-interceptor.ts';
import { withLifecycle } from '../../protocol/filter.ts';
import type { App } from '../../protocol/types.ts';
import { opensPage } from './browser-reload.ts';

const STATUS = 404;

/** Shows the page instead of the application's 404 for `/`, until the application has responded to any request with a success. */
export function withFirstPage(app: App, context: Context): App {
  let hasRoute = false;
  const front: App = (req: MountedRequest, res) => {
    if (hasRoute) return app(req, res);
    const isRoot = (req.url === '/' || req.url === '') && opensPage(req);
    const { baseUrl = '' } = req;
    const outer = res.getHeaderNames();
    let isReplaced = false;
    const interceptor = interceptResponse(res, {
      onHead(status) {
        if (status < 400) hasRoute = true;
        isReplaced = isRoot && status === STATUS && !hasRoute;
        return !isReplaced;
      },
      onEnd() {
        if (!isReplaced) return;
        isReplaced = false;
        for (const name of res.getHeaderNames()) if (!outer.includes(name)) res.removeHeader(name);
        res.statusMessage = '';
        void firstPage(context, baseUrl).then(
          (page) => {
            const body = Buffer.from(page);
            const headers = { 'content-type': 'text/html; charset=utf-8', 'content-length': body.length };
            interceptor.send(STATUS, { ...headers, 'cache-control': 'no-store' }, body);
          },
          () => res.destroy(),
        );
      },
    });
    return app(req, res);
  };
  return withLifecycle(front, [app], app.upgrade);
}

async function firstPage(context: Context, baseUrl: string): Promise<string> {
  // Loaded late: most applications have a page of their own.
  const { mountPaths, projectFacts, welcomePage } = await import('../../apps/welcome-page.ts');
  const paths = await mountPaths(context);
  return welcomePage(await projectFacts(context), {
    links: paths.map((path) => `${baseUrl}${path}`),
    title: 'Your application runs',
    lead: `It has no page at ${baseUrl}/ yet: it responds with 404 here, and this page is shown instead during development.`,
  });
}
