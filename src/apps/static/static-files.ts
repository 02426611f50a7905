/**
 * Answers with the files of a directory. What reaches a file is decided here (the path, dotfiles, symbolic links, a variant
 * that is compressed already, the version); how a file is sent (conditional requests, ranges, types) is `send`'s.
 */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname, resolve } from 'node:path';
import type send from 'send';
import { errorCode, errorMessage } from '../../errors.ts';
import { errorStream } from '../../gateway/error-stream.ts';
import { acceptedEncodings } from '../../http/accept-encoding.ts';
import { isAtMount, type MountedRequest, mountRequest, pathEnd, toOriginForm } from '../../http/mount.ts';
import { pathNames, targetPath } from '../../http/path-names.ts';
import { AMBIGUOUS, AMBIGUOUS_PATH, longestPrefix, PathPrefixes } from '../../http/path-prefixes.ts';
import { answerPlain } from '../../http/plain-answer.ts';
import { requireOwn } from '../../own-files.ts';
import { printableLine } from '../../printable.ts';
import type { App, Filter } from '../../protocol/types.ts';
import { DocumentRoot, type Found, fileOf, realPath, urlPath } from '../document-root.ts';
import { FileVersions, fileIdentity, VERSION } from './file-versions.ts';
import { type StaticUrl, versionedUrl } from './static-url.ts';

/** What is done with a path of which a name begins with a dot: 404, 403, or nothing special. */
export type Dotfiles = 'ignore' | 'deny' | 'allow';

/** What `staticFiles` takes. */
export interface StaticFilesOptions {
  /** The directory with the files. */
  readonly documentRoot: string;
  /** Seconds for which a browser may use a file without asking. Default: 0, it asks each time. */
  readonly cacheMaxAge?: number;
  /** The files that stand for a directory, the first that is there. Default: `index.html`. */
  readonly index?: readonly string[];
  /** Default: `ignore`. */
  readonly dotfiles?: Dotfiles;
  /** The file for `/robots.txt`. Default: `robots.txt` in the directory. */
  readonly robots?: string | undefined;
  /** The file for `/favicon.ico`. Default: `favicon.ico` in the directory. */
  readonly favicon?: string | undefined;
  /** Send `file.br` or `file.gz` in place of `file` to who takes it. Default: false. */
  readonly precompressed?: boolean;
  /** False: hash a file anew for each request with a version, as `debug` does. Default: true. */
  readonly hashCache?: boolean;
}

/** What `withStaticFiles` takes. */
export interface WithStaticFilesOptions extends StaticFilesOptions {
  /** Where the files are found, below the place where the filter stands. Default: `/static`. */
  readonly urlPrefix?: string;
}

/** A request that went through `withStaticFiles`. */
export interface StaticRequest extends MountedRequest {
  staticUrl?: StaticUrl;
}

const NOT_PERMITTED: ReadonlySet<string> = new Set(['EACCES', 'EPERM']);

const SUFFIXES = { br: '.br', gzip: '.gz' } as const;
const ENCODINGS = ['br', 'gzip'] as const;

/**
 * For so long it is taken for known where a path leads, symbolic links and all, as long as that is the same file: finding
 * out costs a third of the whole answer with a small file.
 */
const REMEMBERED_MS = 1000;

/** A year, as Tornado has it; RFC 8246 for `immutable`. */
const FOREVER = 'public, max-age=31536000, immutable';

/** The file to be sent, and what is known of it. */
interface Chosen {
  readonly found: Found;
  /** As it was asked for, before symbolic links: what versions go by. */
  readonly path: string;
  /** A variant is sent in its place. */
  readonly variant?: { readonly found: Found; readonly encoding: keyof typeof SUFFIXES; readonly original: Stats };
}

class StaticFiles {
  readonly root: DocumentRoot;
  readonly versions: FileVersions;
  readonly #index: readonly string[];
  readonly #dotfiles: Dotfiles;
  readonly #precompressed: boolean;
  readonly #maxAge: number;
  readonly #single: ReadonlyMap<string, string | undefined>;

  constructor(options: StaticFilesOptions) {
    this.root = new DocumentRoot(options.documentRoot, REMEMBERED_MS);
    this.versions = new FileVersions(this.root.path, options.hashCache ?? true);
    this.#index = options.index ?? ['index.html'];
    this.#dotfiles = options.dotfiles ?? 'ignore';
    this.#precompressed = options.precompressed ?? false;
    this.#maxAge = (options.cacheMaxAge ?? 0) * 1000;
    this.#single = new Map([
      ['/robots.txt', options.robots],
      ['/favicon.ico', options.favicon],
    ]);
  }

  async answer(req: MountedRequest, res: ServerResponse): Promise<void> {
    const path = targetPath(req.url ?? '/');
    // A map of URLs may have mounted this at the one file.
    if (await this.answerSingle((req.baseUrl ?? '') + path.replace(/^\/$/, ''), req, res)) return;
    if (isAtMount(req)) return isForFiles(req) ? redirectToDirectory(req, res) : refuseMethod(res);
    const asked = pathNames(path);
    if ('refused' in asked) return answerPlain(res, asked.refused);
    const { names, directory } = asked;
    if (this.#dotfiles !== 'allow' && names.some((name) => name.startsWith('.'))) {
      return answerPlain(res, this.#dotfiles === 'deny' ? 403 : 404);
    }
    const found = directory ? await this.#findIndex(names) : await this.#find(names);
    if (found === undefined) return answerPlain(res, 404);
    await this.#send(req, res, found);
  }

  /** `/robots.txt` and `/favicon.ico`, by their whole path. False: it is neither, or there is no such file. */
  async answerSingle(path: string, req: MountedRequest, res: ServerResponse): Promise<boolean> {
    if (!this.#single.has(path)) return false;
    const file = this.#single.get(path);
    const chosen = file === undefined ? await this.#find([path.slice(1)]) : await alone(resolve(file));
    if (chosen === undefined) return false;
    await this.#send(req, res, chosen);
    return true;
  }

  async #find(names: readonly string[]): Promise<Chosen | undefined> {
    const path = this.root.join(names);
    const found = await this.root.find(path);
    return found && { found, path };
  }

  async #findIndex(names: readonly string[]): Promise<Chosen | undefined> {
    for (const name of this.#index) {
      const chosen = await this.#find([...names, name]);
      if (chosen) return chosen;
    }
    return undefined;
  }

  async #send(req: MountedRequest, res: ServerResponse, chosen: Chosen): Promise<void> {
    // Not before it is known that there is a file: a cascade asks the next one for all else, forms among it.
    if (!isForFiles(req)) return refuseMethod(res);
    const sent = this.#precompressed ? await this.#withVariant(req, res, chosen) : chosen;
    const wanted = wantedVersion(req.url ?? '');
    const version = wanted === undefined ? undefined : await this.versions.later(chosen.path);
    const { found, variant } = sent;
    const sentFrom = variant?.found ?? found;
    const stream = sender()(req, sentFrom.url, {
      root: sentFrom.root,
      // Looked at already, in the path that was asked for: what a symbolic link leads to is another matter.
      dotfiles: 'allow',
      index: false,
      maxAge: this.#maxAge,
    });
    const asked = variant ? chosen.path + SUFFIXES[variant.encoding] : chosen.path;
    const again = (): void => {
      this.root.forget(asked);
      this.answer(req, res).catch(() => res.destroy());
    };
    stream.on('file', (_path: string, stats: Stats) => {
      const { remembered } = sentFrom;
      const isFile = stats.isFile();
      const isKnown = remembered === undefined || remembered === fileOf(stats);
      if (isFile && remembered === undefined) this.root.remember(asked, sentFrom, stats);
      if (isFile && isKnown) return;
      // What follows would send it.
      stream.send = () => {};
      // A named pipe would be read for ever.
      if (isKnown) answerPlain(res, 404);
      else again();
    });
    stream.on('headers', (_res: unknown, _path: string, stats: Stats) => {
      if (variant) {
        stream.type(found.real);
        res.setHeader('Content-Encoding', variant.encoding);
      }
      if (version === undefined) return;
      if (version.identity !== fileIdentity(variant?.original ?? stats)) this.versions.forget(chosen.path);
      else if (version.hash === wanted) res.setHeader('Cache-Control', FOREVER);
    });
    stream.on('directory', () => redirectToDirectory(req, res));
    stream.on('error', (error: Error & { status: number }) => {
      // A symbolic link may lead elsewhere by now, such as to the next release, and this one be removed.
      if (error.status === 404 && sentFrom.remembered !== undefined && !res.headersSent) again();
      else if (NOT_PERMITTED.has(errorCode(error) ?? '')) fail(res, 403);
      else {
        if (error.status === 500) errorStream(req).write(`${printableLine(`static: ${errorMessage(error)}`)}\n`);
        fail(res, error.status);
      }
    });
    stream.on('stream', (file: { bytesRead: number; once(event: 'end', listener: () => void): void }) => {
      // A file that shrinks while it is sent: an answer that is too short must not look whole.
      file.once('end', () => {
        if (file.bytesRead < Number(res.getHeader('Content-Length'))) res.destroy();
      });
    });
    stream.pipe(res);
  }

  /**
   * The best variant that the client takes and that is not older than its file, in whole seconds, as tools that keep a
   * file's time often do no better. An older one is of what the file was before.
   */
  async #withVariant(req: IncomingMessage, res: ServerResponse, chosen: Chosen): Promise<Chosen> {
    const original = await statOf(chosen.found.real);
    if (!original?.isFile()) return chosen;
    res.setHeader('Vary', 'Accept-Encoding');
    for (const encoding of acceptedEncodings(req.headers['accept-encoding'], ENCODINGS)) {
      const found = await this.root.find(chosen.path + SUFFIXES[encoding]);
      const stats = found && (await statOf(found.real));
      if (found && stats?.isFile() && wholeSeconds(stats) >= wholeSeconds(original)) {
        return { ...chosen, variant: { found, encoding, original } };
      }
    }
    return chosen;
  }
}

/**
 * An application that answers with the files of a directory: ranges, conditional requests, versioned URLs
 * (`makeStaticUrl`), variants that are compressed already. GET and HEAD only, another method is 405 for a file; never a byte from outside the directory.
 */
export function staticFiles(options: StaticFilesOptions): App {
  const files = new StaticFiles(options);
  const app: App = (req, res) => files.answer(req, res);
  app.close = () => files.versions.close();
  return app;
}

/**
 * A filter that answers below `urlPrefix` with files, and `/robots.txt` and `/favicon.ico` where there are such files;
 * everything else is the application's, which finds `req.staticUrl(path)`: the URL of a file, with its version and below
 * whatever the whole is mounted at.
 */
export function withStaticFiles(options: WithStaticFilesOptions): Filter {
  const prefix = `/${(options.urlPrefix ?? '/static').replace(/^\/+|(?<!\/)\/+$/g, '')}`;
  const prefixes = new PathPrefixes<true>();
  prefixes.add(prefix, true);
  return (app) => {
    const files = new StaticFiles(options);
    const { root, versions } = files;
    const atRoot = versionedUrl(root.path, prefix, versions);
    const filtered: App = async (req: StaticRequest, res) => {
      toOriginForm(req);
      const path = targetPath(req.url ?? '/');
      const match = longestPrefix(path, [prefixes]);
      if (match === AMBIGUOUS) return answerPlain(res, 400, {}, AMBIGUOUS_PATH);
      if (match) {
        mountRequest(req, match.length);
        return files.answer(req, res);
      }
      if (isForFiles(req) && (await files.answerSingle(path, req, res))) return;
      const { baseUrl } = req;
      req.staticUrl = baseUrl ? (file) => baseUrl + atRoot(file) : atRoot;
      return app(req, res);
    };
    filtered.close = () => versions.close();
    return filtered;
  };
}

function isForFiles({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

function refuseMethod(res: ServerResponse): void {
  answerPlain(res, 405, { allow: 'GET, HEAD' });
}

/** A file that a setting names: it may lie anywhere. */
async function alone(path: string): Promise<Chosen | undefined> {
  const real = await realPath(path);
  if (real === undefined) return undefined;
  const root = dirname(real);
  return { found: { real, root, url: urlPath(real, root), remembered: undefined }, path };
}

let loadedSend: typeof send | undefined;

/** Loaded with the first file: the public API has this part for everybody, and most programs serve no files by it. */
function sender(): typeof send {
  loadedSend ??= requireOwn('send') as typeof send;
  return loadedSend;
}

function wantedVersion(url: string): string | undefined {
  const end = pathEnd(url);
  if (end === url.length) return undefined;
  const wanted = new URLSearchParams(url.slice(end)).get('v');
  return wanted !== null && VERSION.test(wanted) ? wanted : undefined;
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch {
    return undefined;
  }
}

function wholeSeconds({ mtimeMs }: Stats): number {
  return Math.floor(mtimeMs / 1000);
}

/** One slash at the front: two of them would begin a host's name. */
function redirectToDirectory(req: MountedRequest, res: ServerResponse): void {
  const url = req.url ?? '/';
  const path = `${req.baseUrl ?? ''}${targetPath(url)}`.replace(/\/?$/, '/').replace(/^[/\\]+/, '/');
  answerPlain(res, 301, { location: path + url.slice(pathEnd(url)) });
}

/** Of what was set for the file, an error keeps what says how large it is. */
function fail(res: ServerResponse, status: number): void {
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy();
    return;
  }
  const range = res.getHeader('Content-Range');
  for (const name of OF_THE_FILE) res.removeHeader(name);
  answerPlain(res, status, range === undefined ? {} : { 'content-range': String(range) });
}

const OF_THE_FILE = [
  'Accept-Ranges',
  'Cache-Control',
  'Content-Encoding',
  'Content-Length',
  'Content-Range',
  'Content-Type',
  'ETag',
  'Last-Modified',
];
