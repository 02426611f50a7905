/** `npm:paster#welcome`: a page that shows which sections of the INI file built what answers the request. */
import type { IncomingMessage } from 'node:http';
import { relative } from 'node:path';
import { defineSettings, type SettingsOf, text } from '../config/setting.ts';
import { loadContext } from '../deploy/load.ts';
import { type OutlineNode, outline } from '../deploy/outline.ts';
import { configUri } from '../deploy/uri.ts';
import { ConfigError, type Location } from '../errors.ts';
import { escapeHtml, htmlPage } from '../http/html.ts';
import type { MountedRequest } from '../http/mount.ts';
import type { App, Settings } from '../protocol/types.ts';

export const welcomeSettings = defineSettings({
  app: { type: text, default: 'main', help: 'The application whose composition is shown.' },
  server: { type: text, default: 'main', help: 'The server that is shown with it.' },
});

/** Makes the application of an `[app:*]` section. */
export async function makeWelcome(globalConf: Settings, settings: SettingsOf<typeof welcomeSettings>): Promise<App> {
  const file = globalConf['__file__'];
  if (file === undefined) {
    throw new ConfigError('PASTER_WELCOME', 'the welcome page shows an INI file, and there is none here');
  }
  const show = async (kind: 'app' | 'server', name: string): Promise<OutlineNode> =>
    outline(await loadContext(kind, configUri(file), { globalConf, name }));
  const app = await show('app', settings.app);
  const server = await show('server', settings.server).catch(() => undefined);
  const parts = [server && { key: 'server', node: server }, { key: 'application', node: app }].filter(
    (part) => part !== undefined,
  );

  return (req, res) => {
    const { baseUrl = '' } = req as MountedRequest;
    const [path = '/'] = (req.url ?? '/').split('?');
    if (path !== '/') {
      res.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
      res.end('Not Found\n');
      return;
    }
    const place = (location: Location | undefined): string =>
      location ? `${relative(process.cwd(), location.file) || location.file}:${location.line}` : '';
    const page = htmlPage(
      'paster',
      `<h1>It works</h1>
<p>This page came over ${escapeHtml(transport(req))}, from process ${process.pid}, put together by
<code>${escapeHtml(relative(process.cwd(), file) || file)}</code>. The request as the application sees it:
<a href="${escapeHtml(baseUrl)}/environ"><code>/environ</code></a>.</p>
${parts.map(({ key, node }) => `<p class="key soft">${escapeHtml(key)}</p>\n${partHtml(node, place)}`).join('\n')}`,
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

function partHtml(node: OutlineNode, place: (location: Location | undefined) => string): string {
  const settings = node.settings.map(
    ({ name, value, location }) =>
      `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)} <span class="at">${escapeHtml(place(location))}</span></dd>`,
  );
  const inner = node.inner.map(
    ({ key, node: part }) =>
      `${key === undefined ? '' : `<p class="key"><code>${escapeHtml(key)}</code></p>`}${partHtml(part, place)}`,
  );
  return `<div class="part"><span class="role">${node.role}</span> <strong>[${escapeHtml(node.name)}]</strong>
<span class="at">${escapeHtml(place(node.location))}</span>
<dl><dt>use</dt><dd>${escapeHtml(node.uses)}</dd>${settings.join('')}</dl>
${inner.join('\n')}</div>`;
}
