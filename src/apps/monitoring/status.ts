/** `npm:paster#status`: the current state of the server, as a live page and as JSON. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { seconds } from '../../config/settings/setting-types.ts';
import { preferredType } from '../../http/request-headers.ts';
import { meter } from '../../metrics/meter.ts';
import { networks } from '../../net/peers.ts';
import { ownVersion } from '../../own-files.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { timerMs } from '../../timer.ts';
import { allowedClients, sendReport, statusApp } from './server-report.ts';
import { BUILD, POLICY, pageParts, type StatusParts, statusPage } from './status-page/page.ts';

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

/** How many pages one process keeps up to date. Any further page only gets the status each time it connects. */
const MAX_WATCHERS = 16;
/** Milliseconds after which a page connects again: one whose stream has ended, and one beyond MAX_WATCHERS. */
const RECONNECT_MS = 1000;
const CROWDED_RECONNECT_MS = 10_000;

const HEADERS = {
  'content-type': 'text/event-stream',
  // A filter or a proxy that compresses would hold the events back.
  'cache-control': 'no-store, no-transform',
  'x-content-type-options': 'nosniff',
  // Otherwise nginx holds them back.
  'x-accel-buffering': 'no',
};

/** Open pages that show the status live, by server-sent events. Nothing runs while there is none. */
class StatusStream {
  /** Each page, and what it was sent last. */
  readonly #watchers = new Map<ServerResponse, StatusParts>();
  readonly #read: () => Promise<StatusParts>;
  readonly #seconds: number;
  #timer: NodeJS.Timeout | undefined;
  #isDraining = false;

  /**
   * @param read reads the status
   * @param seconds between two updates
   */
  constructor(read: () => Promise<StatusParts>, seconds: number) {
    this.#read = read;
    this.#seconds = seconds;
  }

  /** Sends the parts, and from then on those that change. */
  open(res: ServerResponse, parts: StatusParts): void {
    const isLast = this.#isDraining || this.#watchers.size >= MAX_WATCHERS;
    res.writeHead(200, HEADERS);
    const retry = isLast && !this.#isDraining ? CROWDED_RECONNECT_MS : RECONNECT_MS;
    const first = `retry: ${retry}\n${message(parts)}`;
    if (isLast) return void res.end(first);
    res.write(first);
    this.#watchers.set(res, parts);
    res.once('close', () => {
      this.#watchers.delete(res);
      if (this.#watchers.size === 0) this.#stop();
    });
    this.#timer ??= this.#later();
  }

  /** Ends all streams: their pages connect again, to a process that goes on. */
  drain(): void {
    this.#isDraining = true;
    this.#stop();
    for (const res of this.#watchers.keys()) res.end();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #later(): NodeJS.Timeout {
    return setTimeout(() => void this.#update(), timerMs(this.#seconds)).unref();
  }

  async #update(): Promise<void> {
    const parts = await this.#read().catch(() => undefined);
    for (const [res, sent] of this.#watchers) {
      // Without a status there is nothing to show: the page asks again, and gets the error.
      if (!parts) res.end();
      // A page that reads slowly skips updates: it gets the current state when it has read the last one.
      else if (!res.writableNeedDrain) {
        this.#watchers.set(res, parts);
        res.write(message(changed(parts, sent)));
      }
    }
    if (this.#timer !== undefined && this.#watchers.size > 0) this.#timer = this.#later();
  }
}

function changed(parts: StatusParts, sent: StatusParts): StatusParts {
  return Object.fromEntries(Object.entries(parts).filter(([id, html]) => html !== sent[id]));
}

/** One event. JSON.stringify writes no line feeds, which would end the event's line. */
function message(parts: StatusParts): string {
  return `data: ${JSON.stringify({ build: BUILD, parts })}\n\n`;
}
