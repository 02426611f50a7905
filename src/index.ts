/** The public API of `paster`: re-exports only. */

export { type CascadeOptions, cascade } from './apps/cascade.ts';
export { type CgiBinOptions, type CgiOptions, type CgiScriptOptions, cgi, cgiBin } from './apps/cgi/cgi.ts';
export { type HealthCheck, type HealthOptions, health } from './apps/health.ts';
export {
  type ProxyOptions,
  proxy,
  type TransparentProxyOptions,
  transparentProxy,
} from './apps/proxy/proxy.ts';
export { type RedirectOptions, redirect } from './apps/redirect.ts';
export {
  type Dotfiles,
  type StaticFilesOptions,
  type StaticRequest,
  staticFiles,
  type WithStaticFilesOptions,
  withStaticFiles,
} from './apps/static/static-files.ts';
export { makeStaticUrl, type StaticUrl, type StaticUrlOptions } from './apps/static/static-url.ts';
export { showRequest } from './apps/test.ts';
export { type SlowUploadOptions, slowUpload } from './apps/test-slow.ts';
export { type UrlMapOptions, urlMap } from './apps/urlmap.ts';
export { asBool, asInt, asList } from './config/convert.ts';
export { type DebugFlags, debugFlags } from './config/debug.ts';
export { type IniDocument, type IniEntry, type IniSection, parseIni } from './config/ini.ts';
export type { Loader } from './deploy/compose.ts';
export { configureLogging } from './deploy/configure-logging.ts';
export {
  type AppConfig,
  appConfig,
  type LoadedServer,
  type LoadOptions,
  loadApp,
  loadFilter,
  loadServer,
} from './deploy/load.ts';
export type { LoggingOptions } from './deploy/logging.ts';
export { ConfigError, ErrorList, type Location, PasterError, RunError, UsageError } from './errors.ts';
export { authBasic } from './filters/auth/basic.ts';
export { authDigest } from './filters/auth/digest.ts';
export { bodyLimit } from './filters/bodylimit.ts';
export { cors } from './filters/cors.ts';
export { errorPages, makeErrorPage } from './filters/error-page.ts';
export { type ErrorDocumentRequest, errorDocuments } from './filters/errordocument.ts';
export { type Grant, grantIp } from './filters/grantip.ts';
export { gzip } from './filters/gzip.ts';
export { httpExceptions } from './filters/httpexceptions.ts';
export type { Included, IncludeOptions } from './filters/internal-request.ts';
export { lint } from './filters/lint.ts';
export { maintenance } from './filters/maintenance.ts';
export { prefix } from './filters/prefix.ts';
export { printDebug } from './filters/printdebug.ts';
export { profile } from './filters/profile/profile.ts';
export { proxyHeaders } from './filters/proxy-headers.ts';
export { rateLimit } from './filters/ratelimit.ts';
export { type RecursiveRequest, recursive } from './filters/recursive.ts';
export { securityHeaders } from './filters/security-headers.ts';
export { session } from './filters/session.ts';
export { timeout } from './filters/timeout.ts';
export { makeTranslogger, translogger } from './filters/translogger.ts';
export { errorStream } from './gateway/error-stream.ts';
export type { Logger, LogLevel } from './log.ts';
export { getLogger, type NamedLogger } from './logging/logger.ts';
export type { Address, DescriptorAddress, TcpAddress, UnixAddress } from './net/address.ts';
export type { AppLike } from './protocol/app.ts';
export type { FilterLike } from './protocol/filter.ts';
export type { Middleware } from './protocol/middleware.ts';
export type { App, Filter, Running, ServeOptions, Server, Settings } from './protocol/types.ts';
