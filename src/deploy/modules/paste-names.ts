/**
 * The names that Paste's own distributions declare, and the built-in parts that they mean. A name can imply settings:
 * flup's forking servers pre-fork, so their `workers` is `auto` by default.
 */
import type { Settings } from '../../protocol/types.ts';
import { KINDS, type PartKind } from '../part-kinds.ts';

export interface PasteName {
  /** The entry point of the package `paster`. */
  readonly builtin: string;
  readonly implied?: Settings;
  /** The kind of part in Paste, if paster has an application and a server of that name. */
  readonly kind?: PartKind;
}

const FORKING: Settings = { workers: 'auto' };

/** By distribution, in its own spelling, then by entry point. */
export const PASTE_NAMES: Readonly<Record<string, Readonly<Record<string, PasteName>>>> = {
  Paste: {
    http: { builtin: 'http' },
    static: { builtin: 'static' },
    cgi: { builtin: 'cgi', kind: 'app' },
    urlmap: { builtin: 'urlmap' },
    cascade: { builtin: 'cascade' },
    test: { builtin: 'test' },
    test_slow: { builtin: 'test_slow' },
    proxy: { builtin: 'proxy' },
    transparent_proxy: { builtin: 'transparent_proxy' },
    translogger: { builtin: 'translogger' },
    gzip: { builtin: 'gzip' },
    grantip: { builtin: 'grantip' },
    auth_basic: { builtin: 'auth_basic' },
    auth_digest: { builtin: 'auth_digest' },
    paste_session: { builtin: 'session' },
    error_catcher: { builtin: 'error_page' },
    evalerror: { builtin: 'error_page' },
    cgitb: { builtin: 'error_page' },
    httpexceptions: { builtin: 'httpexceptions' },
    errordocument: { builtin: 'errordocument' },
    recursive: { builtin: 'recursive' },
    lint: { builtin: 'lint' },
    printdebug: { builtin: 'printdebug' },
    profile: { builtin: 'profile' },
    watch_threads: { builtin: 'status' },
  },
  PasteScript: {
    test: { builtin: 'test' },
    cgi: { builtin: 'cgi', kind: 'server' },
    flup_fcgi_fork: { builtin: 'fastcgi', implied: FORKING },
    flup_fcgi_thread: { builtin: 'fastcgi' },
    flup_scgi_fork: { builtin: 'scgi', implied: FORKING },
    flup_scgi_thread: { builtin: 'scgi' },
  },
  PasteDeploy: {
    prefix: { builtin: 'prefix' },
  },
  Flup: {
    fcgi: { builtin: 'fastcgi' },
    fcgi_thread: { builtin: 'fastcgi' },
    fcgi_fork: { builtin: 'fastcgi', implied: FORKING },
    scgi: { builtin: 'scgi' },
    scgi_thread: { builtin: 'scgi' },
    scgi_fork: { builtin: 'scgi', implied: FORKING },
  },
};

/** The names of one of Paste's distributions, in any case; undefined for other packages. */
export function namesOfDistribution(distribution: string): Readonly<Record<string, PasteName>> | undefined {
  const wanted = distribution.toLowerCase();
  return Object.entries(PASTE_NAMES).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

/** The `egg:` URIs that mean a built-in part of a group. */
export function eggUrisOf(group: string, builtin: string): string[] {
  const isMeant = (name: PasteName): boolean =>
    name.builtin === builtin &&
    (name.kind === undefined || KINDS[name.kind].groups.flat().some((each) => each === group));
  return Object.entries(PASTE_NAMES).flatMap(([distribution, names]) =>
    Object.entries(names).flatMap(([name, each]) => (isMeant(each) ? [`egg:${distribution}#${name}`] : [])),
  );
}

/** The built-in part that a URI means: `static` for both `npm:paster#static` and `egg:Paste#static`. */
export function builtinPart(uri: string): string | undefined {
  const [, distribution = '', name = 'main'] = /^(?:npm|egg):([^#]+)(?:#(.*))?$/i.exec(uri) ?? [];
  if (distribution.toLowerCase() === 'paster') return name;
  const names = namesOfDistribution(distribution);
  return names && Object.hasOwn(names, name) ? names[name]?.builtin : undefined;
}
