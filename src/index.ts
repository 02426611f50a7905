/** The public API of `paster`: re-exports only. */

export { type CascadeOptions, cascade } from './apps/cascade/cascade.ts';
export { type CgiBinOptions, type CgiOptions, type CgiScriptOptions, cgi, cgiBin } from './apps/cgi/cgi.ts';
export { type HealthCheck, type HealthOptions, health } from './apps/monitoring/health.ts';
export {
  type ProxyOptions,
  proxy,
  type TransparentProxyOptions,
  transparentProxy,
} from './apps/proxy/proxy.ts';
export { type RedirectOptions, redirect } from './apps/redirect.ts';
export { makeStaticUrl, type StaticUrl, type StaticUrlOptions } from './apps/static/file-versions.ts';
export {
  type Dotfiles,
  type StaticFilesOptions,
  type StaticRequest,
  staticFiles,
  type WithStaticFilesOptions,
  withStaticFiles,
} from './apps/static/static-files.ts';
export { showRequest } from './apps/test.ts';
export { type SlowUploadOptions, slowUpload } from './apps/test-slow.ts';
export { type UrlMapOptions, urlMap } from './apps/urlmap.ts';
export { type DebugFlags, debugFlags } from './config/debug.ts';
export { type IniDocument, type IniEntry, type IniSection, parseIni } from './config/ini/ini.ts';
export { asBool, asInt, asList } from './config/settings/convert.ts';
export type { Loader } from './deploy/compose.ts';
export {
  type AppConfig,
  appConfig,
  configureLogging,
  type LoadedServer,
  type LoadOptions,
  loadApp,
  loadFilter,
  loadServer,
} from './deploy/load.ts';
export type { LoggingOptions } from './deploy/logging.ts';
export { ConfigError, ErrorList, type Location, PasterError, RunError, UsageError } from './errors.ts';
export { bodyLimit } from './filters/access/bodylimit.ts';
export { maintenance } from './filters/access/maintenance.ts';
export { rateLimit } from './filters/access/ratelimit.ts';
export { timeout } from './filters/access/timeout.ts';
export { authBasic } from './filters/auth/basic.ts';
export { authDigest } from './filters/auth/digest.ts';
export { type Grant, grantIp } from './filters/auth/grantip.ts';
export { lint } from './filters/debugging/lint.ts';
export { printDebug } from './filters/debugging/printdebug.ts';
export { profile } from './filters/debugging/profile.ts';
export { errorPages, makeErrorPage } from './filters/errors/error-page.ts';
export { type ErrorDocumentRequest, errorDocuments } from './filters/errors/errordocument.ts';
export { httpExceptions } from './filters/errors/httpexceptions.ts';
export type { Included, IncludeOptions } from './filters/errors/internal-request.ts';
export { type RecursiveRequest, recursive } from './filters/errors/recursive.ts';
export { cors } from './filters/headers/cors.ts';
export { gzip } from './filters/headers/gzip.ts';
export { prefix } from './filters/headers/prefix.ts';
export { proxyHeaders } from './filters/headers/proxy-headers.ts';
export { securityHeaders } from './filters/headers/security-headers.ts';
export { session } from './filters/headers/session.ts';
export { makeTranslogger, translogger } from './filters/logging/translogger.ts';
export { errorStream } from './gateway/error-stream.ts';
export type { Logger, LogLevel } from './log.ts';
export { getLogger, type NamedLogger } from './logging/python/logger.ts';
export type { Address, DescriptorAddress, TcpAddress, UnixAddress } from './net/address.ts';
export type { AppLike } from './protocol/app.ts';
export type { FilterLike } from './protocol/filter.ts';
export type { Middleware } from './protocol/middleware.ts';
export type { App, Filter, Running, ServeOptions, Server, Settings } from './protocol/types.ts';
