/** `npm:paster#maintenance`: shows a page that says "back soon" if a setting is true, or while a file exists. */
import { existsSync } from 'node:fs';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { bool, int, path, text } from '../../config/settings/setting-types.ts';
import { clientAddress } from '../../http/client-address.ts';
import { escapeHtml, htmlPage } from '../../http/html.ts';
import { type Network, networks, Peers } from '../../net/peers.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { accessFilter, plainRefusal, type Refusal } from './access-decision.ts';

export const maintenanceSettings = defineSettings(
  {
    enabled: { type: bool, default: false, help: 'Show the page even if the file does not exist.' },
    file: {
      type: path,
      help: 'The page is shown while this file exists.',
      example: '%(here)s/../var/maintenance',
    },
    retry_after: {
      type: int({ min: 1, max: 31_536_000 }),
      default: 300,
      help: 'Seconds after which clients should try again.',
    },
    message: {
      type: text,
      default: 'This site is being worked on. Please come back in a few minutes.',
      help: 'What the page says.',
    },
    allow: {
      type: networks,
      default: [] as readonly Network[],
      help: 'Clients that still see the application: addresses and CIDR blocks.',
      example: '127.0.0.1 10.0.0.0/8',
    },
  },
  { meaning: 'a page instead of the application, during maintenance' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeMaintenance(_globalConf: Settings, settings: SettingsOf<typeof maintenanceSettings>): Filter {
  return maintenance(settings);
}
makeMaintenance.settings = maintenanceSettings;

/** A filter that responds with 503 and a page during maintenance. It looks for the file at each request. */
export function maintenance(options: OptionsOf<typeof maintenanceSettings> = {}): Filter {
  const { enabled, file, retry_after, message, allow } = withDefaults(maintenanceSettings, options);
  const allowed = allow.length > 0 ? new Peers(allow) : undefined;
  const refusal = maintenancePage(message, retry_after);
  return accessFilter((req) => {
    if (!enabled && (file === undefined || !existsSync(file))) return undefined;
    const address = clientAddress(req);
    return address !== undefined && allowed?.admits(address) ? undefined : refusal;
  });
}

function maintenancePage(message: string, seconds: number): Refusal {
  const html = Buffer.from(htmlPage('Back soon', `<h1>Back soon</h1>\n<p>${escapeHtml(message)}</p>`));
  const retryAfter = String(seconds);
  const plain = plainRefusal(503, { 'retry-after': retryAfter }, message);
  return (req, res) => {
    if (!req.headers.accept?.includes('text/html')) return plain(req, res);
    res.writeHead(503, {
      'content-type': 'text/html; charset=utf-8',
      'content-length': html.length,
      'cache-control': 'no-store',
      'retry-after': retryAfter,
    });
    res.end(html);
    return undefined;
  };
}
