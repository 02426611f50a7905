/**
 * Opens a developer's editor at a place that an error page has shown. Only a browser on this machine can ask for it, from a page of
 * this server, and only for places that this server has offered: each comes with a key that another page cannot make.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { cameThroughProxy, clientAddress } from '../../http/client-address.ts';
import type { EditorLinks } from '../../http/error-page/stack-html.ts';
import { sendPlainText } from '../../http/error-response.ts';
import { requestHost } from '../../http/request-headers.ts';
import { isLoopback } from '../../net/address.ts';
import { requireOwn } from '../../own-files.ts';

const LARGEST_BODY = 16_384;
/** An editor that cannot be started fails within this time. */
const FAILURE_MS = 300;
const NO_EDITOR = 'No editor was found: start it, or set LAUNCH_EDITOR to its command.';

export type LaunchEditor = (place: string, onError: (file: string, message: string | null) => void) => void;

export class EditorOpener {
  readonly #secret: string;

  /** @param secret the same in all workers: the request from a page may reach another worker than the one that made the page */
  constructor(secret: string) {
    this.#secret = secret;
  }

  /** For the page of a request; undefined if its client may not open an editor. @param url the path that a POST goes to */
  linksFor(req: IncomingMessage, url: string): EditorLinks | undefined {
    return isFromHere(req) ? { url, keyOf: (place) => this.#keyOf(place) } : undefined;
  }

  async respond(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (req.method !== 'POST') return sendPlainText(res, 405, { allow: 'POST' });
    if (!isFromHere(req) || !isSameOrigin(req)) return sendPlainText(res, 403);
    if (!/^application\/json\b/.test(req.headers['content-type'] ?? '')) return sendPlainText(res, 415);
    const { place, key } = Object(await readJson(req)) as { place?: unknown; key?: unknown };
    if (typeof place !== 'string' || typeof key !== 'string' || !this.#isKey(key, place)) {
      return sendPlainText(res, 403, {}, 'The page is from an earlier start of the server: reload it.');
    }
    const problem = await launch(place, requireOwn('launch-editor') as LaunchEditor);
    if (problem !== undefined) return sendPlainText(res, 500, {}, problem);
    res.writeHead(204).end();
  }

  #keyOf(place: string): string {
    return createHmac('sha256', this.#secret).update(place).digest('base64url');
  }

  #isKey(key: string, place: string): boolean {
    const [given, right] = [Buffer.from(key), Buffer.from(this.#keyOf(place))];
    return given.length === right.length && timingSafeEqual(given, right);
  }
}

/**
 * Whether the browser is on this machine and asks for this machine by a name of its own. An attacker can point another name at a
 * loopback address, so that their page may read this one (DNS rebinding).
 */
function isFromHere(req: IncomingMessage): boolean {
  const address = clientAddress(req);
  if (address === undefined || !isLoopback(address) || cameThroughProxy(req)) return false;
  const name = (requestHost(req) ?? '').replace(/:\d*$/, '').toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}

/** Whether a page of this server asks. Browsers say so, and other programs send neither header. */
function isSameOrigin(req: IncomingMessage): boolean {
  const { origin, 'sec-fetch-site': site } = req.headers;
  if (site !== undefined && site !== 'same-origin') return false;
  return origin === undefined || origin.replace(/^https?:\/\//, '') === requestHost(req);
}

async function readJson(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req) {
    size += (chunk as Buffer).length;
    if (size > LARGEST_BODY) return undefined;
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    return undefined;
  }
}

/** @returns what is wrong, if the editor cannot be started. */
function launch(place: string, launchEditor: LaunchEditor): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), FAILURE_MS);
    launchEditor(place, (_file, message) => {
      clearTimeout(timer);
      resolve(message === null ? NO_EDITOR : `The editor cannot be started: ${message}`);
    });
  });
}
