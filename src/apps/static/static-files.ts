/**
 * Serves the files of a directory. This file decides which file is sent (the path, dotfiles, symbolic links, precompressed
 * variants, versions); npm `send` sends it (conditional requests, ranges, media types).
 */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import type send from 'send';
import { errorCode, errorMessage } from '../../errors.ts';
import { closeFile, type OpenedFile, openFound } from '../../files/opened-file.ts';
import { errorStream } from '../../gateway/error-stream.ts';
import { sendPlainText } from '../../http/error-response.ts';
import { isAtMount, type MountedRequest, mountRequest, toOriginForm } from '../../http/mount.ts';
import { AMBIGUOUS, AMBIGUOUS_PATH, longestPrefix, PathPrefixes } from '../../http/path-prefixes.ts';
import { pathEnd, pathNames, targetPath } from '../../http/url-path.ts';
import { requireOwn } from '../../own-files.ts';
import { printableLine } from '../../printable.ts';
import type { App, Filter } from '../../protocol/types.ts';
import { fromWorkingDirectory } from '../../working-directory.ts';
import { DocumentRoot, findRealPath } from '../document-root.ts';
import { acceptedEncodings } from './accept-encoding.ts';
import { FileVersions, fileIdentity, type StaticUrl, VERSION_HASH, versionedUrl } from './file-versions.ts';

/** The response if a name in the path begins with a dot: 404, 403, or the file. */
export type Dotfiles = 'ignore' | 'deny' | 'allow';

/** Options of `staticFiles`. */
export interface StaticFilesOptions {
  /** The directory with the files. */
  readonly documentRoot: string;
  /** Seconds for which a browser may use a file without revalidation. Default: 0. */
  readonly cacheMaxAge?: number;
  /** Names of index files; the first that exists is served for a directory. Default: `index.html`. */
  readonly index?: readonly string[];
  /** Default: `ignore`. */
  readonly dotfiles?: Dotfiles;
  /** The file for `/robots.txt`. Default: `robots.txt` in the directory. */
  readonly robots?: string | undefined;
  /** The file for `/favicon.ico`. Default: `favicon.ico` in the directory. */
  readonly favicon?: string | undefined;
  /** Send `file.br` or `file.gz` instead of `file` if the client accepts it. Default: false. */
  readonly precompressed?: boolean;
  /** False: hash a file again for each request with a version, as with `debug`. Default: true. */
  readonly hashCache?: boolean;
}

/** Options of `withStaticFiles`. */
export interface WithStaticFilesOptions extends StaticFilesOptions {
  /** The path of the files, below the filter's mount. Default: `/static`. */
  readonly urlPrefix?: string;
}

/** A request that has passed `withStaticFiles`. */
export interface StaticRequest extends MountedRequest {
  staticUrl?: StaticUrl;
}

const NOT_PERMITTED: ReadonlySet<string> = new Set(['EACCES', 'EPERM']);

const SUFFIXES = { br: '.br', gzip: '.gz' } as const;
const ENCODINGS = ['br', 'gzip'] as const;

/** How long a resolved path is cached: resolving symbolic links costs a third of the response with a small file. */
const PATH_CACHE_MS = 1000;

/** A year, as in Tornado; RFC 8246 for `immutable`. */
const IMMUTABLE = 'public, max-age=31536000, immutable';

/** The file for a request. */
interface RequestedFile {
  readonly file: OpenedFile;
  /** The path before symbolic links are followed, by which versions are cached. */
  readonly path: string;
}

/** A compressed version of a file that is sent instead. */
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
  readonly #specialFiles: ReadonlyMap<string, string | undefined>;

  constructor(options: StaticFilesOptions) {
    this.root = new DocumentRoot(options.documentRoot, PATH_CACHE_MS);
    this.versions = new FileVersions(this.root.path, options.hashCache ?? true);
    this.#index = options.index ?? ['index.html'];
    this.#dotfiles = options.dotfiles ?? 'ignore';
    this.#precompressed = options.precompressed ?? false;
    this.#maxAge = (options.cacheMaxAge ?? 0) * 1000;
    this.#specialFiles = new Map([
      ['/robots.txt', options.robots],
      ['/favicon.ico', options.favicon],
    ]);
  }

  async serve(req: MountedRequest, res: ServerResponse): Promise<void> {
    const path = targetPath(req.url ?? '/');
    // urlmap may have mounted this application at that one file.
    if (await this.serveSpecial((req.baseUrl ?? '') + path.replace(/^\/$/, ''), req, res)) return;
    if (isAtMount(req)) return isForFiles(req) ? redirectToDirectory(req, res) : refuseMethod(res);
    const parsed = pathNames(path);
    if ('refused' in parsed) return sendPlainText(res, parsed.refused);
    const { names, directory } = parsed;
    if (this.#dotfiles !== 'allow' && names.some((name) => name.startsWith('.'))) {
      return sendPlainText(res, this.#dotfiles === 'deny' ? 403 : 404);
    }
    try {
      const found = directory ? await this.#openIndex(names) : await this.#open(names);
      if (found === undefined) return sendPlainText(res, 404);
      await this.#send(req, res, found);
    } catch (error) {
      // A directory that may be searched but not read can still have an index.
      if (isNotPermitted(error) && !directory && (await this.#isDirectory(names))) redirectToDirectory(req, res);
      else sendFailure(req, res, error);
    }
  }

  /** Serves `/robots.txt` and `/favicon.ico`. @returns false if the path is neither, or there is no such file. */
  async serveSpecial(path: string, req: MountedRequest, res: ServerResponse): Promise<boolean> {
    if (!this.#specialFiles.has(path)) return false;
    const file = this.#specialFiles.get(path);
    try {
      const found =
        file === undefined ? await this.#open([path.slice(1)]) : await openAnywhere(fromWorkingDirectory(file));
      if (found === undefined) return false;
      await this.#send(req, res, found);
    } catch (error) {
      sendFailure(req, res, error);
    }
    return true;
  }

  async #open(names: readonly string[]): Promise<RequestedFile | undefined> {
    const path = this.root.join(names);
    const file = await this.root.open(path);
    return file && { file, path };
  }

  async #openIndex(names: readonly string[]): Promise<RequestedFile | undefined> {
    for (const name of this.#index) {
      const found = await this.#open([...names, name]);
      if (found) return found;
    }
    return undefined;
  }

  async #isDirectory(names: readonly string[]): Promise<boolean> {
    const found = await this.root.find(this.root.join(names));
    return found !== undefined && (await stat(found.real)).isDirectory();
  }

  /** Sends a file, and closes it. */
  async #send(req: MountedRequest, res: ServerResponse, { file, path }: RequestedFile): Promise<void> {
    let variant: Variant | undefined;
    let reading: OpenedFile | undefined;
    try {
      // Only after the file was found: for a 404, such as for a form, a cascade asks its next application.
      if (!isForFiles(req)) return refuseMethod(res);
      if (file.stats.isDirectory()) return redirectToDirectory(req, res);
      if (!file.stats.isFile()) return sendPlainText(res, 404);
      if (this.#precompressed) variant = await this.#openVariant(req, res, file, path);
      const sent = variant?.file ?? file;
      if (variant) res.setHeader('Content-Encoding', variant.encoding);
      const wanted = wantedVersion(req.url ?? '');
      const version = wanted === undefined ? undefined : await this.versions.get(path);
      if (version && version.identity !== fileIdentity(file.stats)) this.versions.invalidate(path);
      else if (version && version.hash === wanted) res.setHeader('Cache-Control', IMMUTABLE);
      const stream = sendOpened(req, res, sent, this.#maxAge);
      stream.on('error', (error: Error & { status: number }) => {
        if (error.status === 500) sendFailure(req, res, error);
        else sendError(res, error.status);
      });
      stream.on('stream', (source: { bytesRead: number; once(event: 'end', listener: () => void): void }) => {
        reading = sent;
        // If the file shrinks while it is sent, the response must not look complete.
        source.once('end', () => {
          if (source.bytesRead < Number(res.getHeader('Content-Length'))) res.destroy();
        });
      });
      stream.type(file.real);
      stream.send(sent.real, sent.stats);
    } finally {
      // The stream closes the file that it reads.
      if (reading !== file) closeFile(file);
      if (variant && reading !== variant.file) closeFile(variant.file);
    }
  }

  /**
   * Opens the best variant that the client accepts, unless it is older than its file: then the file has changed since. Times
   * are compared in whole seconds, since tools that preserve a file's time often store no fractions.
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
      if (file?.stats.isFile() && mtimeSeconds(file.stats) >= mtimeSeconds(original.stats)) return { file, encoding };
      if (file) closeFile(file);
    }
    return undefined;
  }
}

/**
 * An application that serves the files of a directory, with ranges, conditional requests, versioned URLs (`makeStaticUrl`)
 * and precompressed variants. Methods other than GET and HEAD get 405 for a file. Nothing outside the directory is served.
 */
export function staticFiles(options: StaticFilesOptions): App {
  const files = new StaticFiles(options);
  const app: App = (req, res) => files.serve(req, res);
  app.close = () => files.versions.close();
  return app;
}

/**
 * A filter that serves files below `urlPrefix`, and `/robots.txt` and `/favicon.ico` if there are such files. The application
 * handles everything else. It can call `req.staticUrl(path)` for the URL of a file with its version, below the filter's mount.
 */
export function withStaticFiles(options: WithStaticFilesOptions): Filter {
  const prefix = `/${(options.urlPrefix ?? '/static').replace(/^\/+|(?<!\/)\/+$/g, '')}`;
  const prefixes = new PathPrefixes<true>();
  prefixes.add(prefix, true);
  return (app) => {
    const files = new StaticFiles(options);
    const { root, versions } = files;
    const staticUrl = versionedUrl(root.path, prefix, versions);
    const filtered: App = async (req: StaticRequest, res) => {
      toOriginForm(req);
      const path = targetPath(req.url ?? '/');
      const match = longestPrefix(path, [prefixes]);
      if (match === AMBIGUOUS) return sendPlainText(res, 400, {}, AMBIGUOUS_PATH);
      if (match) {
        mountRequest(req, match.length);
        return files.serve(req, res);
      }
      if (isForFiles(req) && (await files.serveSpecial(path, req, res))) return;
      const { baseUrl } = req;
      req.staticUrl = baseUrl ? (file) => baseUrl + staticUrl(file) : staticUrl;
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
  sendPlainText(res, 405, { allow: 'GET, HEAD' });
}

/** Opens a file named in a setting, which need not be in the document root. */
async function openAnywhere(path: string): Promise<RequestedFile | undefined> {
  const real = await findRealPath(path);
  const file = real === undefined ? undefined : await openFound({ real, root: dirname(real) });
  return file && { file, path };
}

let loadedSend: typeof send | undefined;

/** Loads `send` with the first file, since most programs that import paster's public API serve no files with it. */
function loadSend(): typeof send {
  loadedSend ??= requireOwn('send') as typeof send;
  return loadedSend;
}

/**
 * Makes `send`'s stream for a file that is already open. `send` opens paths itself, but passes its options to
 * `fs.createReadStream`, which accepts a descriptor instead. Its method `send` skips the lookup of the path.
 */
function sendOpened(
  req: IncomingMessage,
  res: ServerResponse,
  { fd, real }: OpenedFile,
  maxAge: number,
): send.SendStream {
  const options: send.SendOptions & { readonly fd: number } = { fd, maxAge };
  return Object.assign(loadSend()(req, real, options), { res });
}

function wantedVersion(url: string): string | undefined {
  const end = pathEnd(url);
  if (end === url.length) return undefined;
  const wanted = new URLSearchParams(url.slice(end)).get('v');
  return wanted !== null && VERSION_HASH.test(wanted) ? wanted : undefined;
}

function mtimeSeconds({ mtimeMs }: Stats): number {
  return Math.floor(mtimeMs / 1000);
}

/** The location begins with a single slash, since two would begin a host's name. */
function redirectToDirectory(req: MountedRequest, res: ServerResponse): void {
  const url = req.url ?? '/';
  const path = `${req.baseUrl ?? ''}${targetPath(url)}`.replace(/\/?$/, '/').replace(/^[/\\]+/, '/');
  sendPlainText(res, 301, { location: path + url.slice(pathEnd(url)) });
}

function isNotPermitted(error: unknown): boolean {
  return NOT_PERMITTED.has(errorCode(error) ?? '');
}

/** Responds to a file that could not be opened or read. */
function sendFailure(req: IncomingMessage, res: ServerResponse, error: unknown): void {
  if (!isNotPermitted(error)) errorStream(req).write(`${printableLine(`static: ${errorMessage(error)}`)}\n`);
  sendError(res, isNotPermitted(error) ? 403 : 500);
}

/** Removes the headers set for the file, except Content-Range, which a 416 needs to state the file's size. */
function sendError(res: ServerResponse, status: number): void {
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy();
    return;
  }
  const range = res.getHeader('Content-Range');
  for (const name of FILE_HEADERS) res.removeHeader(name);
  sendPlainText(res, status, range === undefined ? {} : { 'content-range': String(range) });
}

const FILE_HEADERS = [
  'Accept-Ranges',
  'Cache-Control',
  'Content-Encoding',
  'Content-Length',
  'Content-Range',
  'Content-Type',
  'ETag',
  'Last-Modified',
];
