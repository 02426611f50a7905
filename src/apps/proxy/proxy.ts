/** Applications that forward requests to other HTTP servers: `proxy` to a fixed one, `transparentProxy` to the requested host. */
import { type ClientRequestArgs, Agent as HttpAgent, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ProxyServer } from 'httpxy';
import { ConfigError, errorMessage } from '../../errors.ts';
import { refusalOf, requestHeaders } from '../../gateway/hop/forwarded-headers.ts';
import { isAtMount, type MountedRequest, toOriginForm } from '../../http/mount.ts';
import { isUnsafePath } from '../../http/path-prefixes.ts';
import { requestHost } from '../../http/request-headers.ts';
import { declineUpgrade } from '../../protocol/default-handlers.ts';
import type { App } from '../../protocol/types.ts';
import { timerMs } from '../../timer.ts';
import { ProxiedRequest, sendRefusal } from './proxied-request.ts';
import {
  ADDRESS_FORMS,
  describeTarget,
  type HostAndPort,
  hostHeader,
  isSameHost,
  type ProxyTarget,
  parseHost,
  parseTarget,
} from './target.ts';

/** Options of both kinds. */
interface CommonOptions {
  /** Seconds without data from the target after which the response is 504; 0: no limit. Default: 60. */
  readonly timeout?: number;
  /** Headers that only proxies set, such as `forwarded`, to pass on as the client sent them. Default: none. */
  readonly passHeaders?: readonly string[];
}

/** Options of `proxy`. */
export interface ProxyOptions extends CommonOptions {
  /** `http://host:port/path`, `https://host:port/path`, `unix:/path/of/socket` or `unix:/path/of/socket:/path`. */
  readonly address: string;
  /** Other methods get 405. Default: any method. */
  readonly allowedRequestMethods?: readonly string[];
  /** Headers of the client to remove, besides those of the connection. Default: none. */
  readonly suppressHttpHeaders?: readonly string[];
}

/** Options of `transparentProxy`. */
export interface TransparentProxyOptions extends CommonOptions {
  /** `host` or `host:port` that gets all requests, whatever their Host header. */
  readonly forceHost?: string;
  /** The protocol for `forceHost`. Default: http. */
  readonly forceScheme?: 'http' | 'https';
  /** Without `forceHost`: the hosts that clients may request, as `host` or `host:port`; `*` is any host. */
  readonly allowedHosts?: readonly string[];
}

/** The error for a transparent proxy with neither a forced host nor allowed hosts. */
export const OPEN_PROXY = 'a transparent proxy would connect to whatever host a client names';
export const OPEN_PROXY_HINT =
  'set "force_host" to the host that gets all requests, or "allowed_hosts" to the hosts that clients may request';

const DEFAULT_TIMEOUT_S = 60;

/**
 * An application that forwards each request to another HTTP server and passes its response back. Bodies and WebSockets are
 * streamed. The Host header is that server's; X-Forwarded-For, -Host, -Proto and -Prefix describe the client's request.
 *
 * The response is 502 if the server cannot be reached, 504 if it sends nothing, and 400 for a request whose length is
 * ambiguous.
 *
 * @throws ConfigError for a malformed address.
 * @see `paste.proxy.Proxy`; unlike there, a path of the address is prepended to the request's, with or without a final slash.
 */
export async function proxy(options: ProxyOptions): Promise<App> {
  const { allowedRequestMethods = [], suppressHttpHeaders = [], passHeaders, timeout } = options;
  const target = addressTarget(options.address);
  const methods = allowedRequestMethods.map((method) => method.toUpperCase());
  const suppressed = headerSet(suppressHttpHeaders);
  return forwardingApp({ timeout, suppressed, passed: headerSet(passHeaders) }, (req) => {
    if (methods.length > 0 && !methods.includes(req.method ?? '')) {
      return { status: 405, reason: 'Method Not Allowed', allow: methods.join(', ') };
    }
    const url = req.url ?? '/';
    // The other server would resolve it to a path outside the address's path.
    if (target.path !== '' && isUnsafePath(url)) return { status: 400 };
    return { target, url: target.path + url, host: hostHeader(target) };
  });
}

/**
 * An application that forwards each request with its Host header unchanged: to `forceHost`, or to the host in that header if
 * `allowedHosts` contains it. Without that check a client could reach any machine that this one reaches.
 *
 * @throws ConfigError if neither `forceHost` nor `allowedHosts` is given, and for a malformed host.
 * @see `paste.proxy.TransparentProxy`
 */
export async function transparentProxy(options: TransparentProxyOptions): Promise<App> {
  const { forceHost, forceScheme = 'http', allowedHosts = [], passHeaders, timeout } = options;
  const forced = forceHost === undefined ? undefined : hostSetting('force_host', forceHost);
  const isAnyAllowed = allowedHosts.includes('*');
  const allowed = allowedHosts.filter((host) => host !== '*').map((host) => hostSetting('allowed_hosts', host));
  if (!forced && allowedHosts.length === 0) {
    throw new ConfigError('PASTER_OPEN_PROXY', OPEN_PROXY, { hint: OPEN_PROXY_HINT });
  }
  return forwardingApp({ timeout, suppressed: new Set(), passed: headerSet(passHeaders) }, (req: MountedRequest) => {
    const host = requestHost(req) ?? '';
    const asked = parseHost(host);
    if (!asked) return { status: 400 };
    const isEncrypted = 'encrypted' in req.socket && req.socket.encrypted === true;
    const scheme = forced ? forceScheme : isEncrypted ? 'https' : 'http';
    const isAllowed = forced || isAnyAllowed || allowed.some((each) => isSameHost(each, asked, scheme));
    if (!isAllowed) return { status: 403, reason: 'Forbidden' };
    // The other server would resolve it to a path outside the mount.
    if (req.baseUrl && isUnsafePath(req.url ?? '/')) return { status: 400 };
    const target: ProxyTarget = { scheme, socketPath: undefined, path: '', ...(forced ?? asked) };
    return { target, url: urlOfClient(req), host };
  });
}

/** For the mount itself `req.url` is a slash that the client has not sent. */
function urlOfClient(req: MountedRequest): string {
  const { url = '/', baseUrl = '' } = req;
  return baseUrl + (isAtMount(req) ? url.slice(1) : url);
}

function addressTarget(address: string): ProxyTarget {
  try {
    return parseTarget(address);
  } catch (error) {
    throw new ConfigError('PASTER_PROXY_ADDRESS', `address: ${errorMessage(error)}`, {
      setting: 'address',
      hint: `allowed: ${ADDRESS_FORMS}`,
    });
  }
}

function hostSetting(setting: string, text: string): HostAndPort {
  const host = parseHost(text);
  if (host) return host;
  throw new ConfigError('PASTER_PROXY_HOST', `${setting}: "${text}" is not of the form host or host:port`, { setting });
}

/** The target with the URL and Host header for it, or the status of a refusal. */
type RoutingDecision =
  | { readonly target: ProxyTarget; readonly url: string; readonly host: string }
  | { readonly status: number; readonly reason?: string; readonly allow?: string };

interface ForwardingOptions {
  readonly timeout: number | undefined;
  readonly suppressed: ReadonlySet<string>;
  readonly passed: ReadonlySet<string>;
}

function headerSet(names: readonly string[] = []): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase().replaceAll('_', '-')));
}

type Library = ProxyServer<IncomingMessage, ServerResponse>;

async function forwardingApp(
  options: ForwardingOptions,
  decide: (req: IncomingMessage) => RoutingDecision,
): Promise<App> {
  const { timeout = DEFAULT_TIMEOUT_S } = options;
  const library = await makeLibrary();
  const agents = { http: new HttpAgent({ keepAlive: true }), https: new ConfiguredNameAgent({ keepAlive: true }) };
  /** Not kept: an upgraded connection cannot be reused, and an upgrade on a stale connection could not be repeated. */
  const upgradeAgents = { http: new HttpAgent(), https: new ConfiguredNameAgent() };

  const prepare = (req: IncomingMessage, client: ServerResponse | Duplex) => routed(req, client, options, decide);

  const app: App = (req, res) => {
    const prepared = prepare(req, res);
    if (!prepared) return;
    const { target, url, headers } = prepared;
    const send = (mayRetry: boolean): void => {
      const proxied = new ProxiedRequest(req, res, {
        url,
        headers: { ...headers },
        target: describeTarget(target),
        timeout: timerMs(timeout),
        ...(mayRetry ? { retry: () => send(false) } : {}),
      });
      const agent = agents[target.scheme];
      const forwarding = { ...targetOptions(target), agent, buffer: req };
      library.web(proxied as unknown as IncomingMessage, res, forwarding).catch((error) => proxied.fail(error));
    };
    send(isRepeatable(req));
  };
  app.upgrade = (req, socket, head) => {
    if (!isRepeatable(req)) return sendRefusal(socket, 400);
    // Such as h2c, which clients offer in ordinary requests.
    if (req.headers.upgrade?.toLowerCase() !== 'websocket' || req.method !== 'GET') {
      return declineUpgrade(app, req, socket);
    }
    const prepared = prepare(req, socket);
    if (!prepared) return undefined;
    const { target, url, headers } = prepared;
    const proxied = new ProxiedRequest(req, socket, {
      url,
      headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket' },
      target: describeTarget(target),
      timeout: timerMs(timeout),
    });
    const forwarding = { ...targetOptions(target), agent: upgradeAgents[target.scheme] };
    library
      .ws(proxied as unknown as IncomingMessage, socket as Socket, forwarding, head)
      .catch((error) => proxied.fail(error));
    return undefined;
  };
  app.close = () => {
    for (const agent of Object.values(agents)) agent.destroy();
  };
  return app;
}

/** Where a request goes, and with which headers; undefined if it has been refused. */
function routed(
  req: IncomingMessage,
  client: ServerResponse | Duplex,
  { suppressed, passed }: ForwardingOptions,
  decide: (req: IncomingMessage) => RoutingDecision,
) {
  toOriginForm(req);
  const refusal = refusalOf(req);
  const decision: RoutingDecision = refusal === undefined ? decide(req) : { status: refusal };
  if ('target' in decision) {
    return { ...decision, headers: requestHeaders(req, { host: decision.host, suppressed, passed }) };
  }
  if ('setHeader' in client) {
    if (decision.allow !== undefined) client.setHeader('allow', decision.allow);
    // It is unclear where the next request on this connection begins.
    if (refusal !== undefined) client.setHeader('connection', 'close');
  }
  sendRefusal(client, decision.status, decision.reason);
  return undefined;
}

/** httpxy opens connections and pipes bodies. `ProxiedRequest` decides what is sent. */
async function makeLibrary(): Promise<Library> {
  const { createProxyServer } = await import('httpxy');
  const library = createProxyServer({ selfHandleResponse: true, prependPath: false });
  const proxied = (req: unknown): ProxiedRequest => req as ProxiedRequest;
  library.on('proxyReq', (sent, req) => proxied(req).onRequest(sent));
  library.on('proxyReqWs', (sent, req, socket) => proxied(req).onUpgradeRequest(sent, socket));
  library.on('proxyRes', (response, req, res) => proxied(req).onResponse(response, res));
  library.on('error', (error, req) => proxied(req).fail(error));
  return library;
}

function targetOptions({ scheme, host, port, socketPath }: ProxyTarget) {
  const at =
    socketPath === undefined ? { hostname: host, host, ...(port === undefined ? {} : { port }) } : { socketPath };
  return { target: { protocol: `${scheme}:`, ...at } };
}

/** Such a request may be sent again if the server closed a kept connection just as it was used. */
function isRepeatable({ method, headers }: IncomingMessage): boolean {
  const isSafe = method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
  return isSafe && headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
}

/**
 * Verifies the certificate for the server's configured name. Node would use the Host header, which the client chooses: it
 * would verify another name, and keep connections for each name that clients make up.
 */
class ConfiguredNameAgent extends HttpsAgent {
  override getName(options: RequestOptions): string {
    return super.getName(withServerName(options));
  }

  override createConnection(
    options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    return super.createConnection(withServerName(options), callback);
  }
}

/** A certificate for an address needs no name (RFC 6066 section 3). */
function withServerName<T extends ClientRequestArgs>(options: T): T & { readonly servername: string } {
  const host = options.host ?? '';
  return { ...options, servername: isIP(host) === 0 ? host : '' };
}
