/** URIs (`scheme:path#name`) and what resolving one takes. What each scheme means is in schemes.ts. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pythonStrip } from '../config/whitespace.ts';
import { ConfigError, type Location } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { type Context, type ContextLoader, type FactoryContext, settingsOf, type Trail } from './context.ts';
import type { PartKind } from './part-kinds.ts';
import type { LoadSession } from './session.ts';

/** A scheme is letters only, so `x2:y` is a section's name (paste.deploy.loadwsgi: `_absolute_re`). */
const SCHEME = /^[a-zA-Z]+:/;

export interface Uri {
  readonly text: string;
  /** In lower case. */
  readonly scheme: string;
  /** Between the scheme and the `#`. */
  readonly path: string;
  readonly fragment: string | undefined;
}

export function hasScheme(text: string): boolean {
  return SCHEME.test(text);
}

export function parseUri(text: string): Uri | undefined {
  if (!hasScheme(text)) return undefined;
  const colon = text.indexOf(':');
  const hash = text.indexOf('#');
  return {
    text,
    scheme: text.slice(0, colon).toLowerCase(),
    path: text.slice(colon + 1, hash === -1 ? undefined : hash),
    fragment: hash === -1 ? undefined : text.slice(hash + 1),
  };
}

/**
 * Splits a URI again if the name of its file contains `#`: the path is then the longest text, up to a `#` or to the end, that
 * names an existing file.
 *
 * @param fileOf the file, as an absolute path, that a path of this scheme means
 */
export function withExistingFile(uri: Uri, fileOf: (path: string) => string): Uri {
  if (uri.fragment === undefined) return uri;
  const text = `${uri.path}#${uri.fragment}`;
  for (let end = text.length; end > uri.path.length; end = text.lastIndexOf('#', end - 1)) {
    const path = text.slice(0, end);
    if (existsSync(fileOf(path)))
      return { ...uri, path, fragment: end === text.length ? undefined : text.slice(end + 1) };
  }
  return uri;
}

/** The `config:` URI of a file, whatever characters its path has. */
export function configUri(file: string): string {
  return `config:${file.split('/').map(encodeURIComponent).join('/')}`;
}

/** The file that a `config:` URI means, as an absolute path. */
export function configPath({ path }: Uri, relativeTo: string): string {
  return resolve(relativeTo, pythonStrip(unquote(path.replaceAll('\\', '/'))));
}

/** As Python's urllib.parse.unquote: an invalid escape stays as it is. */
function unquote(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString());
}

export type ResolveUri = (text: string, request: UriRequest) => Promise<Context>;

/** What a URI is resolved for and against. */
export interface UriRequest {
  readonly kind: PartKind;
  /** The directory that relative paths and packages are looked up from. */
  readonly relativeTo: string;
  readonly globalConf: Settings | undefined;
  readonly session: LoadSession;
  readonly trail: Trail;
  /** Where the URI is written, if it is in a file. */
  readonly from: Location | undefined;
  /** The part's name, if the caller gives one; it overrides the URI's own `#name`. */
  readonly name?: string | undefined;
  /** Resolves the URIs of other parts that this one refers to. */
  readonly resolve: ResolveUri;
}

/** Resolves the URIs of one scheme. */
export type ResolveScheme = (uri: Uri, name: string | undefined, request: UriRequest) => Promise<Context>;

/** The context of a part that a URI names directly, without a section. */
export function uriContext(
  request: UriRequest,
  part: Pick<FactoryContext, 'protocol' | 'target'> &
    Partial<Pick<FactoryContext, 'protocolAssumed' | 'implied'>> & { readonly packageName?: string },
): FactoryContext {
  const { packageName, ...rest } = part;
  return {
    form: 'factory',
    kind: request.kind,
    sections: [],
    globalConf: settingsOf(request.globalConf),
    localConf: settingsOf(),
    origins: new Map(),
    trail: request.trail,
    protocolAssumed: false,
    implied: settingsOf(),
    loader: packageLoader(request, packageName),
    ...rest,
  };
}

/** Finds the parts of a composite that no INI file describes: any URI, and the other entry points of its package. */
function packageLoader(request: UriRequest, packageName: string | undefined): ContextLoader {
  const { relativeTo, session, resolve: resolveUri } = request;
  return {
    async context(kind, name, globalConf, trail, from) {
      const inner: UriRequest = { kind, relativeTo, globalConf, session, trail, from, resolve: resolveUri };
      if (name !== undefined && hasScheme(name)) return resolveUri(name, inner);
      if (packageName !== undefined) return resolveUri(`npm:${packageName}`, { ...inner, name });
      throw new ConfigError(
        'PASTER_NAME_WITHOUT_FILE',
        `"${name}" is the name of a section, but there is no INI file`,
        {
          hint: 'use a URI',
        },
      );
    },
  };
}

const PROGRAM_FILE = /\.[cm]?[jt]sx?$/;

/** Whether a spec of `serve` is a program's file and not an INI file. */
export function isProgramFile(path: string): boolean {
  return PROGRAM_FILE.test(path);
}
