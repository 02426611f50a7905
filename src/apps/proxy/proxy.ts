/** Another HTTP server as an application: `proxy` has one server behind it, `transparentProxy` the one that is asked for. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ProxyServer } from 'httpxy';
import { ConfigError, errorMessage } from '../../errors.ts';
import { askedHost } from '../../http/asked-host.ts';
import { isAtMount, type MountedRequest, toOriginForm } from '../../http/mount.ts';
import { isUnsafePath } from '../../http/path-prefixes.ts';
import { declineUpgrade } from '../../protocol/decline-upgrade.ts';
import type { App } from '../../protocol/types.ts';
import { timerMs } from '../../timer.ts';
import { Exchange, refuse } from './exchange.ts';
import { refusalOf, requestHeaders } from './forwarded-headers.ts';
import { describeTarget, hostHeader, isSameHost, type ProxyTarget, parseHost, parseTarget } from './target.ts';

/** What both kinds have in common. */
interface CommonOptions {
  /** Seconds without anything from the other server after which it has failed: 504. 0: any number. Default: 60. */
  readonly timeout?: number;
  /** Headers that only proxies set, such as `forwarded`, to hand on as the client sent them. Default: none. */
  readonly passHeaders?: readonly string[];
}

/** Options of `proxy`. */
export interface ProxyOptions extends CommonOptions {
  /** `http://host:port/path`, `https://host:port/path`, `unix:/path/of/socket` or `unix:/path/of/socket:/path`. */
  readonly address: string;
  /** Others are answered with 405. Default: any. */
  readonly allowedRequestMethods?: readonly string[];
  /** Headers of the client's that are not handed on. Default: none besides those of the connection. */
  readonly suppressHttpHeaders?: readonly string[];
}

/** Options of `transparentProxy`. */
export interface TransparentProxyOptions extends CommonOptions {
  /** `host` or `host:port`: where all requests go, whatever their Host header says. */
  readonly forceHost?: string;
  /** How to speak to `forceHost`. Default: http. */
  readonly forceScheme?: 'http' | 'https';
  /** Without `forceHost`: the hosts that may be asked for, `host` or `host:port`; `*` is any. */
  readonly allowedHosts?: readonly string[];
}

/** What a transparent proxy is that neither is forced to a host nor knows which ones it may ask. */
export const OPEN_PROXY = 'a transparent proxy would connect to whatever host a client names';
export const OPEN_PROXY_HINT =
  'name the one that it is for with "force_host", or those that may be asked for with "allowed_hosts"';

const DEFAULT_TIMEOUT_S = 60;

/**
 * An application that hands each request on to another HTTP server, bodies and WebSockets as they come, and its answer back.
 * The Host header is that server's; what the client asked for is in X-Forwarded-For, -Host, -Proto and -Prefix.
 *
 * A server that cannot be reached is answered for with 502, one that says nothing with 504; a request whose extent is not
 * beyond doubt is refused with 400.
 *
 * @throws ConfigError for an address of another form.
 * @see `paste.proxy.Proxy`; unlike there a path of the address stands before the request's, with a slash at its end or not.
 */
export async function proxy(options: ProxyOptions): Promise<App> {
  const { allowedRequestMethods = [], suppressHttpHeaders = [], passHeaders, timeout } = options;
  const target = targetOf(options.address);
  const methods = allowedRequestMethods.map((method) => method.toUpperCase());
  const suppressed = headerSet(suppressHttpHeaders);
  return forwardingApp({ timeout, suppressed, passed: headerSet(passHeaders) }, (req) => {
    if (methods.length > 0 && !methods.includes(req.method ?? '')) {
      return { status: 405, reason: 'Method Not Allowed', allow: methods.join(', ') };
    }
    const url = req.url ?? '/';
    // The other server would resolve it to a path outside the one in the address.
    if (target.path !== '' && isUnsafePath(url)) return { status: 400 };
    return { target, url: target.path + url, host: hostHeader(target) };
  });
}

/**
 * An application that hands each request on as it came: to `forceHost`, the Host header untouched, or to the host that it
 * names itself, if that is among `allowedHosts` - for a Host header is whatever a client writes, and would else lead to any
 * machine that this one reaches.
 *
 * @throws ConfigError where neither `forceHost` nor `allowedHosts` is given, and for what is no host.
 * @see `paste.proxy.TransparentProxy`
 */
export async function transparentProxy(options: TransparentProxyOptions): Promise<App> {
  const { forceHost, forceScheme = 'http', allowedHosts = [], passHeaders, timeout } = options;
  const forced = forceHost === undefined ? undefined : hostOf('force_host', forceHost);
  const isAnyAllowed = allowedHosts.includes('*');
  const allowed = allowedHosts.filter((host) => host !== '*').map((host) => hostOf('allowed_hosts', host));
  if (!forced && allowedHosts.length === 0) {
    throw new ConfigError('PASTER_OPEN_PROXY', OPEN_PROXY, { hint: OPEN_PROXY_HINT });
  }
  return forwardingApp({ timeout, suppressed: new Set(), passed: headerSet(passHeaders) }, (req: MountedRequest) => {
    const host = askedHost(req) ?? '';
    const asked = parseHost(host);
    if (!asked) return { status: 400 };
    const isEncrypted = 'encrypted' in req.socket && req.socket.encrypted === true;
    const scheme = forced ? forceScheme : isEncrypted ? 'https' : 'http';
    const isAllowed = forced || isAnyAllowed || allowed.some((each) => isSameHost(each, asked, scheme));
    if (!isAllowed) return { status: 403, reason: 'Forbidden' };
    // The other server would resolve it to a path outside the mount.
    if (req.baseUrl && isUnsafePath(req.url ?? '/')) return { status: 400 };
    const target: ProxyTarget = { scheme, socketPath: undefined, path: '', ...(forced ?? asked) };
    return { target, url: wholeUrl(req), host };
  });
}

/** For the mount itself `req.url` has a slash that the client has not written. */
function wholeUrl(req: MountedRequest): string {
  const { url = '/', baseUrl = '' } = req;
  return baseUrl + (isAtMount(req) ? url.slice(1) : url);
}

function targetOf(address: string): ProxyTarget {
  try {
    return parseTarget(address);
  } catch (error) {
    throw new ConfigError('PASTER_PROXY_ADDRESS', `address: ${errorMessage(error)}`, { setting: 'address' });
  }
}

function hostOf(setting: string, text: string): { readonly host: string; readonly port: number | undefined } {
  const host = parseHost(text);
  if (host) return host;
  throw new ConfigError('PASTER_PROXY_HOST', `${setting}: "${text}" is not of the form host or host:port`, { setting });
}

/** Where a request goes, and as what; or why it goes nowhere. */
type Decision =
  | { readonly target: ProxyTarget; readonly url: string; readonly host: string }
  | { readonly status: number; readonly reason?: string; readonly allow?: string };

interface Manner {
  readonly timeout: number | undefined;
  readonly suppressed: ReadonlySet<string>;
  readonly passed: ReadonlySet<string>;
}

function headerSet(names: readonly string[] = []): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase().replaceAll('_', '-')));
}

type Library = ProxyServer<IncomingMessage, ServerResponse>;

async function forwardingApp(
  { timeout = DEFAULT_TIMEOUT_S, suppressed, passed }: Manner,
  decide: (req: IncomingMessage) => Decision,
): Promise<App> {
  const [library, { HttpAgent, NamedAgent }] = await Promise.all([makeLibrary(), import('./agents.ts')]);
  const agents = { http: new HttpAgent({ keepAlive: true }), https: new NamedAgent({ keepAlive: true }) };
  /** A connection that is upgraded is nobody else's afterwards, and one that has gone stale could not be asked again. */
  const upgradeAgents = { http: new HttpAgent(), https: new NamedAgent() };

  /** @returns undefined where it has been refused. */
  const prepare = (req: IncomingMessage, client: ServerResponse | Duplex) => {
    toOriginForm(req);
    const refusal = refusalOf(req);
    const decision: Decision = refusal === undefined ? decide(req) : { status: refusal };
    if ('target' in decision)
      return { ...decision, headers: requestHeaders(req, { host: decision.host, suppressed, passed }) };
    if ('setHeader' in client) {
      if (decision.allow !== undefined) client.setHeader('allow', decision.allow);
      // What follows on the connection may be anything.
      if (refusal !== undefined) client.setHeader('connection', 'close');
    }
    refuse(client, decision.status, decision.reason);
    return undefined;
  };

  const app: App = (req, res) => {
    const way = prepare(req, res);
    if (!way) return;
    const { target, url, headers } = way;
    const send = (mayRepeat: boolean): void => {
      const exchange = new Exchange(req, res, {
        url,
        headers: { ...headers },
        target: describeTarget(target),
        timeout: timerMs(timeout),
        ...(mayRepeat ? { again: () => send(false) } : {}),
      });
      const agent = agents[target.scheme];
      const options = { ...optionsFor(target), agent, buffer: req };
      library.web(exchange as unknown as IncomingMessage, res, options).catch((error) => exchange.fail(error));
    };
    send(hasNoBody(req));
  };
  app.upgrade = (req, socket, head) => {
    if (!hasNoBody(req)) return refuse(socket, 400);
    // Such as h2c, which clients offer with an ordinary request.
    if (req.headers.upgrade?.toLowerCase() !== 'websocket' || req.method !== 'GET') {
      return declineUpgrade(app, req, socket);
    }
    const way = prepare(req, socket);
    if (!way) return undefined;
    const { target, url, headers } = way;
    const exchange = new Exchange(req, socket, {
      url,
      headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket' },
      target: describeTarget(target),
      timeout: timerMs(timeout),
    });
    const options = { ...optionsFor(target), agent: upgradeAgents[target.scheme] };
    library
      .ws(exchange as unknown as IncomingMessage, socket as Socket, options, head)
      .catch((error) => exchange.fail(error));
    return undefined;
  };
  app.close = () => {
    for (const agent of Object.values(agents)) agent.destroy();
  };
  return app;
}

/** httpxy opens the connection, carries the body and ties the two sides together; what goes over them is decided here. */
async function makeLibrary(): Promise<Library> {
  const { createProxyServer } = await import('httpxy');
  const library = createProxyServer({ selfHandleResponse: true, prependPath: false });
  const exchangeOf = (req: unknown): Exchange => req as Exchange;
  library.on('proxyReq', (sent, req) => exchangeOf(req).begin(sent));
  library.on('proxyReqWs', (sent, req, socket) => exchangeOf(req).beginUpgrade(sent, socket));
  library.on('proxyRes', (answer, req, res) => exchangeOf(req).answer(answer, res));
  library.on('error', (error, req) => exchangeOf(req).fail(error));
  return library;
}

function optionsFor({ scheme, host, port, socketPath }: ProxyTarget) {
  const at =
    socketPath === undefined ? { hostname: host, host, ...(port === undefined ? {} : { port }) } : { socketPath };
  return { target: { protocol: `${scheme}:`, ...at } };
}

/** It may be sent twice: the first time may have met a connection that was just being closed. */
function hasNoBody({ method, headers }: IncomingMessage): boolean {
  const isSafe = method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
  return isSafe && headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
}
