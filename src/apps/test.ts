/**
 * `npm:paster#test` (`egg:PasteScript#test`): shows the request as the application sees it, as a CGI environment, with every
 * server.
 */
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../config/settings/setting.ts';
import { bool, oneOf } from '../config/settings/setting-types.ts';
import { environFromRequest } from '../gateway/environ.ts';
import { escapeHtml, htmlPage } from '../http/html.ts';
import type { MountedRequest } from '../http/mount.ts';
import { preferredType } from '../http/request-headers.ts';
import type { App, Settings } from '../protocol/types.ts';

export const testSettings = defineSettings(
  {
    format: {
      type: oneOf('auto', 'html', 'json', 'text'),
      default: 'auto',
      help: 'The format of the response; auto is a page for a browser, otherwise JSON.',
    },
    text: { type: bool, default: false, help: 'The same as format = text (the name is PasteScript’s).' },
  },
  {
    meaning: 'shows the request as the application sees it',
    obsolete: { lint: 'it checked the rules of WSGI, and there is none here' },
  },
);

/** Makes the application of an `[app:*]` section. */
export function makeTest(_globalConf: Settings, settings: SettingsOf<typeof testSettings>): App {
  return showRequest(settings);
}
makeTest.settings = testSettings;

/**
 * An application that responds with the request as a CGI environment: as a page, JSON or text.
 * @param options the settings of the INI file, typed.
 */
export function showRequest(options: OptionsOf<typeof testSettings> = {}): App {
  const settings = withDefaults(testSettings, options);
  const format = settings.text ? 'text' : settings.format;
  return (req, res) => {
    const environ = Object.entries((req as MountedRequest).environ ?? environFromRequest(req));
    environ.sort(([one], [other]) => (one < other ? -1 : 1));
    const wanted = preferredType(req.headers.accept, ['text/html', 'application/json']);
    const automatic = wanted === 'text/html' ? 'html' : 'json';
    const { type, body } = RENDER[format === 'auto' ? automatic : format](environ);
    res.writeHead(200, {
      'content-type': `${type}; charset=utf-8`,
      'content-length': Buffer.byteLength(body),
    });
    res.end(body);
  };
}

type EnvironEntries = readonly (readonly [name: string, value: string])[];

const RENDER = {
  html: (environ: EnvironEntries) => ({ type: 'text/html', body: environPage(environ) }),
  json: (environ: EnvironEntries) => ({
    type: 'application/json',
    body: `${JSON.stringify(Object.fromEntries(environ), undefined, 2)}\n`,
  }),
  text: (environ: EnvironEntries) => ({
    type: 'text/plain',
    body: environ.map(([name, value]) => `${name}: ${value}\n`).join(''),
  }),
};

function environPage(environ: EnvironEntries): string {
  const rows = environ.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
  return htmlPage('environ', `<h1>The request</h1>\n<div class="part"><dl>${rows.join('\n')}</dl></div>`);
}
