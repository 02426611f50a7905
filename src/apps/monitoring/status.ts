/** `npm:paster#status`: the current state of the server, as a live page and as JSON. */
import type { IncomingMessage } from 'node:http';
import { defineSettings, type SettingsOf, seconds } from '../../config/setting.ts';
import { preferredType } from '../../http/request-headers.ts';
import { meter } from '../../metrics/meter.ts';
import { networks } from '../../net/peers.ts';
import { ownVersion } from '../../own-files.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { allowedClients, sendReport, statusApp } from './server-report.ts';
import { POLICY, pageParts, statusPage } from './status-page/page.ts';
import { StatusStream } from './status-stream.ts';

export const statusSettings = defineSettings(
  {
    allow: {
      type: networks,
      default: [],
      help: 'Clients that may see it, by address or CIDR block. Left out: those on this machine.',
      example: '127.0.0.1 10.1.0.0/16',
    },
    refresh: { type: seconds, default: 2, help: 'Seconds between two updates of an open page; 0: it stays as it is.' },
  },
  {
    meaning: 'a live page about the server: workers, requests, restarts, reloads',
    obsolete: { allow_kill: 'a request has no thread that could be killed; see worker_timeout' },
  },
);

/** Makes the application of an `[app:*]` section. */
export function makeStatus(_globalConf: Settings, { allow, refresh }: SettingsOf<typeof statusSettings>): App {
  const read = async () => pageParts(await meter().ask({ history: true }), meter().identity);
  const stream = new StatusStream(read, refresh);
  const app = statusApp(
    allowedClients(allow),
    (req, res, status) => {
      const format = formatOf(req);
      if (format === 'application/json') {
        const versions = { paster: ownVersion(), node: process.version };
        const body = `${JSON.stringify({ ...status, ...meter().identity, versions })}\n`;
        return sendReport(res, format, body, { vary: 'accept' });
      }
      const parts = pageParts(status, meter().identity);
      if (format === 'text/event-stream' && req.method === 'GET' && refresh > 0) return stream.open(res, parts);
      sendReport(res, 'text/html; charset=utf-8', statusPage(parts, refresh), {
        'content-security-policy': POLICY,
        vary: 'accept',
      });
    },
    // The page does not list the request for itself: its reader looks for other requests.
    { history: true, isShown: (req) => formatOf(req) === 'application/json' },
  );
  app.drain = () => stream.drain();
  return app;
}
makeStatus.settings = statusSettings;

type Format = 'text/html' | 'text/event-stream' | 'application/json';

const FORMATS: Readonly<Record<string, Format>> = {
  html: 'text/html',
  events: 'text/event-stream',
  json: 'application/json',
};

/** `?format=` takes precedence over the Accept header; the default is JSON. */
function formatOf({ url = '/', headers }: IncomingMessage): Format {
  const [, format = ''] = /[?&]format=(html|json|events)\b/.exec(url) ?? [];
  return FORMATS[format] ?? preferredType(headers.accept, ['text/html', 'text/event-stream', 'application/json']);
}
