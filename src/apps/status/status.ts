/** `npm:paster#status`: how the server is at this moment, for people, and as JSON. */
import type { IncomingMessage } from 'node:http';
import { defineSettings, type SettingsOf, seconds } from '../../config/setting.ts';
import { networks } from '../../gateway/peers.ts';
import { preferredType } from '../../http/preferred-type.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { allowedClients } from '../allowed-clients.ts';
import { answerReport, serverReport } from '../server-report.ts';
import { statusPage } from './page.ts';

export const statusSettings = defineSettings(
  {
    allow: {
      type: networks,
      default: [],
      help: 'Clients that may see it, by address or CIDR block. Left out: those on this machine.',
      example: '127.0.0.1 10.1.0.0/16',
    },
    refresh: { type: seconds, default: 5, help: 'Seconds after which the page loads itself again; 0: never.' },
  },
  {
    meaning: 'how the server is: its workers, and the requests that they have in hand',
    obsolete: { allow_kill: 'a request has no thread that could be killed; see worker_timeout' },
  },
);

/** A browser that has the page runs nothing and asks nobody else. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";

/** Makes the application of an `[app:*]` section. */
export function makeStatus(_globalConf: Settings, { allow, refresh }: SettingsOf<typeof statusSettings>): App {
  return serverReport(allowedClients(allow), (req, res, status) => {
    if (formatOf(req) === 'text/html') {
      const headers = {
        'content-security-policy': POLICY,
        vary: 'accept',
        ...(refresh > 0 ? { refresh: String(refresh) } : {}),
      };
      return answerReport(res, 'text/html; charset=utf-8', statusPage(status, refresh), headers);
    }
    answerReport(res, 'application/json', `${JSON.stringify(status)}\n`, { vary: 'accept' });
  });
}
makeStatus.settings = statusSettings;

/** `?format=` goes before what the client accepts; who does not say gets JSON. */
function formatOf({ url = '/', headers }: IncomingMessage): 'text/html' | 'application/json' {
  const asked = /[?&]format=(html|json)\b/.exec(url)?.[1];
  if (asked !== undefined) return asked === 'html' ? 'text/html' : 'application/json';
  return preferredType(headers.accept, ['text/html', 'application/json']);
}
