/**
 * The public API as it is installed: dist/index.js is built from this file, and its types from index.ts. `import 'paster'`
 * imports only the modules that load an application. Every other function imports its module when it is first called.
 */
import type * as Api from './index.ts';
import { requireOwn } from './own-files.ts';

export { debugFlags } from './config/debug.ts';
export { parseIni } from './config/ini/ini.ts';
export { asBool, asInt, asList } from './config/settings/convert.ts';
export { appConfig, configureLogging, loadApp, loadFilter, loadServer } from './deploy/load.ts';
export { ConfigError, ErrorList, PasterError, RunError, UsageError } from './errors.ts';

export const cascade = lazy('cascade', 'apps/cascade/cascade');
export const cgi = lazy('cgi', 'apps/cgi/cgi');
export const cgiBin = lazy('cgiBin', 'apps/cgi/cgi');
export const health = lazy('health', 'apps/monitoring/health');
export const proxy = lazy('proxy', 'apps/proxy/proxy');
export const transparentProxy = lazy('transparentProxy', 'apps/proxy/proxy');
export const redirect = lazy('redirect', 'apps/redirect');
export const staticFiles = lazy('staticFiles', 'apps/static/static-files');
export const withStaticFiles = lazy('withStaticFiles', 'apps/static/static-files');
export const makeStaticUrl = lazy('makeStaticUrl', 'apps/static/file-versions');
export const showRequest = lazy('showRequest', 'apps/test');
export const slowUpload = lazy('slowUpload', 'apps/test-slow');
export const urlMap = lazy('urlMap', 'apps/urlmap');
export const bodyLimit = lazy('bodyLimit', 'filters/access/bodylimit');
export const grantIp = lazy('grantIp', 'filters/auth/grantip');
export const maintenance = lazy('maintenance', 'filters/access/maintenance');
export const rateLimit = lazy('rateLimit', 'filters/access/ratelimit');
export const timeout = lazy('timeout', 'filters/access/timeout');
export const authBasic = lazy('authBasic', 'filters/auth/basic');
export const authDigest = lazy('authDigest', 'filters/auth/digest');
export const lint = lazy('lint', 'filters/debugging/lint');
export const printDebug = lazy('printDebug', 'filters/debugging/printdebug');
export const profile = lazy('profile', 'filters/debugging/profile');
export const errorPages = lazy('errorPages', 'filters/errors/error-page');
export const makeErrorPage = lazy('makeErrorPage', 'filters/errors/error-page');
export const errorDocuments = lazy('errorDocuments', 'filters/errors/errordocument');
export const httpExceptions = lazy('httpExceptions', 'filters/errors/httpexceptions');
export const recursive = lazy('recursive', 'filters/errors/recursive');
export const cors = lazy('cors', 'filters/headers/cors');
export const gzip = lazy('gzip', 'filters/headers/gzip');
export const prefix = lazy('prefix', 'filters/headers/prefix');
export const proxyHeaders = lazy('proxyHeaders', 'filters/headers/proxy-headers');
export const securityHeaders = lazy('securityHeaders', 'filters/headers/security-headers');
export const session = lazy('session', 'filters/headers/session');
export const translogger = lazy('translogger', 'filters/logging/translogger');
export const makeTranslogger = lazy('makeTranslogger', 'filters/logging/translogger');
export const errorStream = lazy('errorStream', 'gateway/error-stream');
export const getLogger = lazy('getLogger', 'logging/python/logger');

/**
 * A function of the API that is loaded when it is called, or when a factory's `settings` are read. Node can require an
 * ES module that awaits nothing (>= 20.19), so the call is synchronous.
 *
 * @param module the file in src/ that has the function, without `.ts`; rolldown.config.ts builds each into a file in dist/
 */
function lazy<Name extends keyof typeof Api>(name: Name, module: string): (typeof Api)[Name] {
  const load = (): ApiFunction => requireOwn(`./${module}.js`)[name];
  const call: unknown = Object.defineProperties((...args: readonly unknown[]) => load()(...args), {
    name: { value: name },
    settings: { get: () => load().settings },
  });
  return call as (typeof Api)[Name];
}

interface ApiFunction {
  (...args: readonly unknown[]): unknown;
  /** The settings that a factory declares. */
  readonly settings?: unknown;
}
