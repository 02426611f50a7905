/** What resolving a URI is about: the request, the type of a scheme, and the context that most schemes answer with. */
import { ConfigError, type Location } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { type Context, type ContextLoader, type FactoryContext, settingsOf, type Trail } from './context.ts';
import type { PartKind } from './kinds.ts';
import type { LoadSession } from './session.ts';
import { hasScheme, type Uri } from './uri.ts';

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
  /** The part's name, where the caller gives one; it goes before the URI's own `#name`. */
  readonly name?: string | undefined;
  /** For schemes whose parts refer to others. */
  readonly resolve: ResolveUri;
}

/** Resolves the URIs of one scheme. */
export type Scheme = (uri: Uri, name: string | undefined, request: UriRequest) => Promise<Context>;

/** A part that a URI names by itself, without a section. */
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

/** What a composite that stands in no file can refer to: any URI, and the other entry points of its package. */
function packageLoader(request: UriRequest, packageName: string | undefined): ContextLoader {
  const { relativeTo, session, resolve } = request;
  return {
    async context(kind, name, globalConf, trail, from) {
      const inner: UriRequest = { kind, relativeTo, globalConf, session, trail, from, resolve };
      if (name !== undefined && hasScheme(name)) return resolve(name, inner);
      if (packageName !== undefined) return resolve(`npm:${packageName}`, { ...inner, name });
      throw new ConfigError('PASTER_NAME_WITHOUT_FILE', `"${name}" is a section's name, but there is no file here`, {
        hint: 'use a URI',
      });
    },
  };
}
