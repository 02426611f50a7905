/**
 * The names that Paste's own distributions declare, and the built-in parts that answer to them. An old name can imply
 * settings: flup's forking servers pre-fork, so their `workers` is `auto` unless the section says otherwise.
 */
import type { Settings } from '../protocol/types.ts';

export interface PasteName {
  /** The entry point of the package `paster`. */
  readonly builtin: string;
  readonly implied?: Settings;
}

const FORKING: Settings = { workers: 'auto' };

/** By distribution, in lower case; within it by entry point. */
export const PASTE_NAMES: Readonly<Record<string, Readonly<Record<string, PasteName>>>> = {
  paste: {
    http: { builtin: 'http' },
    static: { builtin: 'static' },
    cgi: { builtin: 'cgi' },
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
  },
  pastescript: {
    test: { builtin: 'test' },
    cgi: { builtin: 'cgi' },
    flup_fcgi_fork: { builtin: 'fastcgi', implied: FORKING },
    flup_fcgi_thread: { builtin: 'fastcgi' },
    flup_scgi_fork: { builtin: 'scgi', implied: FORKING },
    flup_scgi_thread: { builtin: 'scgi' },
  },
  pastedeploy: {
    prefix: { builtin: 'prefix' },
  },
  flup: {
    fcgi: { builtin: 'fastcgi' },
    fcgi_thread: { builtin: 'fastcgi' },
    fcgi_fork: { builtin: 'fastcgi', implied: FORKING },
    scgi: { builtin: 'scgi' },
    scgi_thread: { builtin: 'scgi' },
    scgi_fork: { builtin: 'scgi', implied: FORKING },
  },
};

/** The built-in part that a URI means by whichever of its names: `static` for `npm:paster#static` and `egg:Paste#static`. */
export function builtinPart(uri: string): string | undefined {
  const [, distribution = '', name = 'main'] = /^(?:npm|egg):([^#]+)(?:#(.*))?$/i.exec(uri) ?? [];
  const key = distribution.toLowerCase();
  if (key === 'paster') return name;
  const names = Object.hasOwn(PASTE_NAMES, key) ? PASTE_NAMES[key] : undefined;
  return names && Object.hasOwn(names, name) ? names[name]?.builtin : undefined;
}
