/** `npm:paster#welcome`: a page that shows which sections of the INI file handled the request. */
import type { IncomingMessage } from 'node:http';
import { defineSettings, type SettingsOf } from '../config/settings/setting.ts';
import { text } from '../config/settings/setting-types.ts';
import { compositionHtml, compositionOf } from '../deploy/inspect/composition.ts';
import type { OutlineNode } from '../deploy/inspect/outline.ts';
import { loadContext } from '../deploy/load.ts';
import { LoadSession } from '../deploy/session.ts';
import { configUri } from '../deploy/uri.ts';
import { ConfigError } from '../errors.ts';
import type { MountedRequest } from '../http/mount.ts';
import { notFound } from '../protocol/default-handlers.ts';
import type { App, Settings } from '../protocol/types.ts';
import { projectFacts, welcomePage } from './welcome-page.ts';

export const welcomeSettings = defineSettings(
  {
    app: { type: text, default: 'main', help: 'The application whose composition is shown.' },
    server: { type: text, help: 'The server that is shown with the application. Without it, `main` if there is one.' },
  },
  { meaning: 'a page that shows which sections of the INI file handle a request' },
);

/** Makes the application of an `[app:*]` section. */
export async function makeWelcome(globalConf: Settings, settings: SettingsOf<typeof welcomeSettings>): Promise<App> {
  const file = globalConf['__file__'];
  if (file === undefined) {
    throw new ConfigError('PASTER_WELCOME', 'the welcome page shows an INI file, but there is none here');
  }
  const session = new LoadSession(globalConf);
  const composition = await compositionOf(file, { app: settings.app }, session);
  const { app: name } = settings;
  const options = { globalConf: session.callerGlobals, name };
  const project = await projectFacts(await loadContext('app', configUri(file), options, session));
  const mounts = composition.app ? mountsOf(composition.app) : [];

  return (req, res) => {
    const { baseUrl = '' } = req as MountedRequest;
    const [path = '/'] = (req.url ?? '/').split('?');
    if (path !== '/') return void notFound(req, res);
    const page = welcomePage(project, {
      title: 'It works',
      lead: 'paster serves this application.',
      facts: [
        ['Request', `over ${transport(req)}, to process ${process.pid}`],
        ...(baseUrl === '' ? [] : [['Mounted at', baseUrl] as const]),
      ],
      links: linksFrom(baseUrl, mounts),
      more: `<details><summary>Composition</summary>${compositionHtml(composition)}</details>`,
    });
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(page) });
    res.end(page);
  };
}
makeWelcome.settings = welcomeSettings;

/** The protocol of the request; a gateway names it in its environment. */
function transport(req: IncomingMessage): string {
  const { environ } = req as MountedRequest;
  if (!environ) return `HTTP/${req.httpVersion}`;
  const front = environ['SERVER_SOFTWARE'];
  return `${environ['GATEWAY_INTERFACE'] ?? 'a gateway'}${front ? ` behind ${front}` : ''}`;
}

/** The paths of the applications in a composition, from its root, as urlmaps give them. */
function mountsOf({ inner }: OutlineNode, prefix = ''): string[] {
  if (inner.length === 0) return [prefix];
  return inner.flatMap(({ key = '', node }) => {
    // Only a path in a urlmap can be linked to: not the parts of other composites, nor the paths of a domain.
    if (key !== '' && !key.startsWith('/')) return [];
    return mountsOf(node, prefix + key.replace(/\/$/, ''));
  });
}

/** Links to the other applications. `baseUrl` ends with the mount of this one. */
function linksFrom(baseUrl: string, mounts: readonly string[]): string[] {
  const ends = mounts.filter((mount) => baseUrl.endsWith(mount));
  const own = ends.reduce((longest, mount) => (mount.length > longest.length ? mount : longest), '');
  const root = baseUrl.slice(0, baseUrl.length - own.length);
  return [...new Set(mounts)].filter((mount) => mount !== own).map((mount) => `${root}${mount === '' ? '/' : mount}`);
}
