/**
 * Answers with the files of a directory. What reaches a file is decided here (the path, dotfiles, symbolic links, a variant
 * that is compressed already, the version); how a file is sent (conditional requests, ranges, types) is `send`'s.
 */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname } from 'node:path';
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
import { fromWorkingDirectory } from '../../working-directory.ts';
import { DocumentRoot, realPath } from '../document-root.ts';
import { closeFile, type OpenedFile, openFound } from '../opened-file.ts';
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

/** How long it is remembered where a path leads: resolving symbolic links costs a third of the response with a small file. */
const REMEMBERED_MS = 1000;

/** A year, as Tornado has it; RFC 8246 for `immutable`. */
const FOREVER = 'public, max-age=31536000, immutable';

/** A file, and what is known of it. */
interface Chosen {
  readonly file: OpenedFile;
  /** As it was asked for, before symbolic links: versions are kept by it. */
  readonly path: string;
}

/** What is sent instead of a file: the file compressed. */
interface Variant {
  readonly file: OpenedFile;
  readonly encoding: keyof typeof SUFFIXES;
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
    try {
      const chosen = directory ? await this.#openIndex(names) : await this.#open(names);
      if (chosen === undefined) return answerPlain(res, 404);
      await this.#send(req, res, chosen);
    } catch (error) {
      // A directory that may be entered but not read can have an index all the same.
      if (isNotPermitted(error) && !directory && (await this.#isDirectory(names))) redirectToDirectory(req, res);
      else failed(req, res, error);
    }
  }

  /** `/robots.txt` and `/favicon.ico`, by their whole path. False: it is neither, or there is no such file. */
  async answerSingle(path: string, req: MountedRequest, res: ServerResponse): Promise<boolean> {
    if (!this.#single.has(path)) return false;
    const file = this.#single.get(path);
    try {
      const chosen =
        file === undefined ? await this.#open([path.slice(1)]) : await openAlone(fromWorkingDirectory(file));
      if (chosen === undefined) return false;
      await this.#send(req, res, chosen);
    } catch (error) {
      failed(req, res, error);
    }
    return true;
  }

  async #open(names: readonly string[]): Promise<Chosen | undefined> {
    const path = this.root.join(names);
    const file = await this.root.open(path);
    return file && { file, path };
  }

  async #openIndex(names: readonly string[]): Promise<Chosen | undefined> {
    for (const name of this.#index) {
      const chosen = await this.#open([...names, name]);
      if (chosen) return chosen;
    }
    return undefined;
  }

  async #isDirectory(names: readonly string[]): Promise<boolean> {
    const found = await this.root.find(this.root.join(names));
    return found !== undefined && (await stat(found.real)).isDirectory();
  }

  /** Sends a file, and closes it. */
  async #send(req: MountedRequest, res: ServerResponse, { file, path }: Chosen): Promise<void> {
    let variant: Variant | undefined;
    let reading: OpenedFile | undefined;
    try {
      // Not before it is known that there is a file: a cascade asks the next one for all else, forms among it.
      if (!isForFiles(req)) return refuseMethod(res);
      if (file.stats.isDirectory()) return redirectToDirectory(req, res);
      if (!file.stats.isFile()) return answerPlain(res, 404);
      if (this.#precompressed) variant = await this.#openVariant(req, res, file, path);
      const sent = variant?.file ?? file;
      if (variant) res.setHeader('Content-Encoding', variant.encoding);
      const wanted = wantedVersion(req.url ?? '');
      const version = wanted === undefined ? undefined : await this.versions.later(path);
      if (version && version.identity !== fileIdentity(file.stats)) this.versions.forget(path);
      else if (version && version.hash === wanted) res.setHeader('Cache-Control', FOREVER);
      const stream = sendOpened(req, res, sent, this.#maxAge);
      stream.on('error', (error: Error & { status: number }) => {
        if (error.status === 500) failed(req, res, error);
        else fail(res, error.status);
      });
      stream.on('stream', (source: { bytesRead: number; once(event: 'end', listener: () => void): void }) => {
        reading = sent;
        // A file that shrinks while it is sent: a response that is too short must not look whole.
        source.once('end', () => {
          if (source.bytesRead < Number(res.getHeader('Content-Length'))) res.destroy();
        });
      });
      stream.type(file.real);
      stream.send(sent.real, sent.stats);
    } finally {
      // The stream closes the one that it reads.
      if (reading !== file) closeFile(file);
      if (variant && reading !== variant.file) closeFile(variant.file);
    }
  }

  /**
   * The best variant that the client takes and that is not older than its file, in whole seconds, as tools that keep a
   * file's time often do no better. An older one is of what the file was before.
   */
  async #openVariant(
    req: IncomingMessage,
    res: ServerResponse,
    original: OpenedFile,
    path: string,
  ): Promise<Variant | undefined> {
    res.setHeader('Vary', 'Accept-Encoding');
    for (const encoding of acceptedEncodings(req.headers['accept-encoding'], ENCODINGS)) {
      const file = await this.root.open(path + SUFFIXES[encoding]).catch(() => undefined);
      if (file?.stats.isFile() && wholeSeconds(file.stats) >= wholeSeconds(original.stats)) return { file, encoding };
      if (file) closeFile(file);
    }
    return undefined;
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
async function openAlone(path: string): Promise<Chosen | undefined> {
  const real = await realPath(path);
  const file = real === undefined ? undefined : await openFound({ real, root: dirname(real) });
  return file && { file, path };
}

let loadedSend: typeof send | undefined;

/** Loaded with the first file: the public API has this part for everybody, and most programs serve no files by it. */
function sender(): typeof send {
  loadedSend ??= requireOwn('send') as typeof send;
  return loadedSend;
}

/**
 * `send`'s stream for a file that is open already. `send` opens paths by itself, but passes the options on to
 * `fs.createReadStream`, which takes a descriptor instead; its method of the same name begins after the look-up.
 */
function sendOpened(
  req: IncomingMessage,
  res: ServerResponse,
  { fd, real }: OpenedFile,
  maxAge: number,
): send.SendStream {
  const options: send.SendOptions & { readonly fd: number } = { fd, maxAge };
  return Object.assign(sender()(req, real, options), { res });
}

function wantedVersion(url: string): string | undefined {
  const end = pathEnd(url);
  if (end === url.length) return undefined;
  const wanted = new URLSearchParams(url.slice(end)).get('v');
  return wanted !== null && VERSION.test(wanted) ? wanted : undefined;
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

function isNotPermitted(error: unknown): boolean {
  return NOT_PERMITTED.has(errorCode(error) ?? '');
}

/** The operating system did not open or read the file. */
function failed(req: IncomingMessage, res: ServerResponse, error: unknown): void {
  if (!isNotPermitted(error)) errorStream(req).write(`${printableLine(`static: ${errorMessage(error)}`)}\n`);
  fail(res, isNotPermitted(error) ? 403 : 500);
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
