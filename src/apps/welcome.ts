/** `npm:paster#welcome`: a page that shows which sections of the INI file built what answers the request. */
import type { IncomingMessage } from 'node:http';
import { relative } from 'node:path';
import { defineSettings, type SettingsOf, text } from '../config/setting.ts';
import { compositionHtml, compositionOf } from '../deploy/composition.ts';
import { LoadSession } from '../deploy/session.ts';
import { ConfigError } from '../errors.ts';
import { escapeHtml, htmlPage } from '../http/html.ts';
import type { MountedRequest } from '../http/mount.ts';
import { notFound } from '../protocol/not-found.ts';
import type { App, Settings } from '../protocol/types.ts';
import { workingDirectory } from '../working-directory.ts';

export const welcomeSettings = defineSettings(
  {
    app: { type: text, default: 'main', help: 'The application whose composition is shown.' },
    server: { type: text, help: 'The server that is shown with it; without it, `main` if there is one.' },
  },
  { meaning: 'a page that shows what the INI file put together' },
);

/** Makes the application of an `[app:*]` section. */
export async function makeWelcome(globalConf: Settings, settings: SettingsOf<typeof welcomeSettings>): Promise<App> {
  const file = globalConf['__file__'];
  if (file === undefined) {
    throw new ConfigError('PASTER_WELCOME', 'the welcome page shows an INI file, and there is none here');
  }
  const composition = await compositionOf(file, settings, new LoadSession(globalConf));

  return (req, res) => {
    const { baseUrl = '' } = req as MountedRequest;
    const [path = '/'] = (req.url ?? '/').split('?');
    if (path !== '/') return void notFound(req, res);
    const page = htmlPage(
      'paster',
      `<h1>It works</h1>
<p>This page came over ${escapeHtml(transport(req))}, from process ${process.pid}, put together by
<code>${escapeHtml(relative(workingDirectory(), file) || file)}</code>. The request as the application sees it:
<a href="${escapeHtml(baseUrl)}/environ"><code>/environ</code></a>.</p>
${compositionHtml(composition)}`,
    );
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(page) });
    res.end(page);
  };
}
makeWelcome.settings = welcomeSettings;

/** What carried the request here: a gateway says so in its environment. */
function transport(req: IncomingMessage): string {
  const { environ } = req as MountedRequest;
  if (!environ) return `HTTP/${req.httpVersion}`;
  const front = environ['SERVER_SOFTWARE'];
  return `${environ['GATEWAY_INTERFACE'] ?? 'a gateway'}${front ? ` behind ${front}` : ''}`;
}
