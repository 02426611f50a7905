/**
 * `npm:paster#test` (`egg:PasteScript#test`): shows the request as the application sees it, as a CGI environment,
 * whatever server it came over.
 */
import { defineSettings, oneOf, type SettingsOf } from '../config/setting.ts';
import { environFromRequest } from '../gateway/environ.ts';
import { escapeHtml, htmlPage } from '../http/html.ts';
import type { MountedRequest } from '../http/mount.ts';
import type { App, Settings } from '../protocol/types.ts';

export const testSettings = defineSettings(
  {
    format: {
      type: oneOf('auto', 'html', 'json'),
      default: 'auto',
      help: 'What it answers with; auto is a page for a browser, else JSON.',
    },
  },
  { meaning: 'shows the request as the application sees it' },
);

/** Makes the application of an `[app:*]` section. */
export function makeTest(_globalConf: Settings, settings: SettingsOf<typeof testSettings>): App {
  return (req, res) => {
    const environ = Object.entries((req as MountedRequest).environ ?? environFromRequest(req));
    environ.sort(([one], [other]) => (one < other ? -1 : 1));
    const html =
      settings.format === 'html' || (settings.format === 'auto' && req.headers.accept?.includes('text/html'));
    const body = html ? environPage(environ) : `${JSON.stringify(Object.fromEntries(environ), undefined, 2)}\n`;
    res.writeHead(200, {
      'content-type': html ? 'text/html; charset=utf-8' : 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    });
    res.end(body);
  };
}
makeTest.settings = testSettings;

function environPage(environ: readonly (readonly [string, string])[]): string {
  const rows = environ.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
  return htmlPage('environ', `<h1>The request</h1>\n<div class="part"><dl>${rows.join('\n')}</dl></div>`);
}
