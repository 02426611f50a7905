/** Open pages that show the status live, by server-sent events. Nothing runs while there is none. */
import type { ServerResponse } from 'node:http';
import { timerMs } from '../../timer.ts';
import { BUILD, type PageParts } from './status-page/page.ts';

/** How many pages of one process are live. Others get the status now and then. */
const MOST_WATCHERS = 16;
/** When a page asks again: one that was live, and one too many. Milliseconds. */
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

export class StatusStream {
  /** Each page, and what it was sent last. */
  readonly #watchers = new Map<ServerResponse, PageParts>();
  readonly #read: () => Promise<PageParts>;
  readonly #seconds: number;
  #timer: NodeJS.Timeout | undefined;
  #isDraining = false;

  /**
   * @param read reads the status
   * @param seconds between two updates
   */
  constructor(read: () => Promise<PageParts>, seconds: number) {
    this.#read = read;
    this.#seconds = seconds;
  }

  /** Sends the parts, and from then on those that change. */
  open(res: ServerResponse, parts: PageParts): void {
    const isLast = this.#isDraining || this.#watchers.size >= MOST_WATCHERS;
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
      // A page that does not read as fast gets what is current when it has read the last update.
      else if (!res.writableNeedDrain) {
        this.#watchers.set(res, parts);
        res.write(message(changed(parts, sent)));
      }
    }
    if (this.#timer !== undefined && this.#watchers.size > 0) this.#timer = this.#later();
  }
}

function changed(parts: PageParts, sent: PageParts): PageParts {
  return Object.fromEntries(Object.entries(parts).filter(([id, html]) => html !== sent[id]));
}

/** JSON has no line feeds outside of strings, and none in them. */
function message(parts: PageParts): string {
  return `data: ${JSON.stringify({ build: BUILD, parts })}\n\n`;
}
