/**
 * `npm:paster#urlmap` (`egg:Paste#urlmap`): applications by path prefix, the longest first. Keys are `/prefix` or
 * `domain NAME [port N] /prefix`, and in code also `http://NAME[:N]/prefix`, which an INI file would cut at the first colon.
 * Values name applications.
 */
import type { IncomingMessage } from 'node:http';
import { debugFlags } from '../config/debug.ts';
import { defineSettings, otherSettings, type SettingsOf } from '../config/settings/setting.ts';
import { text } from '../config/settings/setting-types.ts';
import type { Loader } from '../deploy/compose.ts';
import { ConfigError } from '../errors.ts';
import { sendPlainText } from '../http/error-response.ts';
import { escapeHtml, htmlPage } from '../http/html.ts';
import { type MountedRequest, mountRequest, toOriginForm } from '../http/mount.ts';
import { AMBIGUOUS, AMBIGUOUS_PATH, longestPrefix, PathPrefixes } from '../http/path-prefixes.ts';
import { requestHost } from '../http/request-headers.ts';
import { type AppLike, toApp } from '../protocol/app.ts';
import { declineUpgrade, notFound } from '../protocol/default-handlers.ts';
import { onceOnly, withLifecycle } from '../protocol/filter.ts';
import type { App, Settings } from '../protocol/types.ts';

const KEYS: readonly RegExp[] = [
  /^(?<path>\/.*)$/,
  /^domain\s+(?<host>\S+)(?:\s+port\s+(?<port>\d+))?\s*(?<path>\/.*)?$/,
  /^https?:\/\/(?<host>\[[^\]]*\]|[^/:\s]+)(?::(?<port>\d+))?(?<path>\/.*)?$/,
];

export const urlmapSettings = defineSettings(
  {
    not_found_app: {
      type: text,
      help: 'The application for all other requests, here or in [DEFAULT]. Without it, they get a plain 404.',
    },
  },
  {
    meaning: 'applications by path prefix, and by host',
    others: {
      accepts: (key) => parseKey(key) !== undefined,
      help: '/prefix, or domain NAME [port N] /prefix, and an application',
      meant: (key) =>
        key === 'http' || key === 'https'
          ? 'in an INI file a key ends at its first colon: write domain NAME [port N] /prefix'
          : undefined,
    },
  },
);

/** A parsed key. */
interface MountPoint {
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly prefix: string;
}

function parseKey(key: string): MountPoint | undefined {
  for (const pattern of KEYS) {
    const { groups } = pattern.exec(key) ?? {};
    if (groups) return { host: groups['host'], port: groups['port'], prefix: groups['path'] ?? '' };
  }
  return undefined;
}

/** Options of `urlMap`. */
export interface UrlMapOptions {
  /** Handles requests for which nothing is mounted. Default: a plain 404. */
  readonly notFoundApp?: AppLike;
}

/**
 * Mounts applications by URL, as `[composite:*]` with `npm:paster#urlmap` does. The application with the longest prefix that
 * ends at a segment of the path gets the request, with the prefix moved from `req.url` to `req.baseUrl` (Express's
 * SCRIPT_NAME). Prefixes for the request's host take precedence over those for any host.
 *
 * @param apps Applications by `/prefix`, `domain NAME [port N] /prefix` or `http://NAME[:N]/prefix`.
 * @returns One application; it passes on upgrades, `ready`, `drain` and `close`.
 * @throws ConfigError for a key of another form, for two keys with the same meaning, and for a value that is no application.
 * @see `paste.urlmap.URLMap`
 */
export async function urlMap(apps: Readonly<Record<string, AppLike>>, options: UrlMapOptions = {}): Promise<App> {
  const entries: [string, App][] = [];
  for (const [key, app] of Object.entries(apps)) entries.push([key, onceOnly(await toApp(app))]);
  const fallback = options.notFoundApp === undefined ? notFound : onceOnly(await toApp(options.notFoundApp));
  const map = mapOf(entries, fallback);
  return withLifecycle(map, [...new Set([...entries.map(([, app]) => app), fallback])], map.upgrade);
}

/** Makes the composite of a `[composite:*]` section. */
export async function makeUrlmap(
  loader: Loader,
  globalConf: Settings,
  settings: SettingsOf<typeof urlmapSettings>,
): Promise<App> {
  const names = otherSettings(urlmapSettings, settings);
  const entries: [string, App][] = [];
  for (const [key, name] of names) entries.push([key, await loader.getApp(name, globalConf)]);
  // As in Paste, [DEFAULT] may name it too, and an empty name means none.
  const fallbackName = settings.not_found_app ?? globalConf['not_found_app'] ?? '';
  const plain = debugFlags(globalConf).debug ? listingNotFound(names) : notFound;
  return mapOf(entries, fallbackName === '' ? plain : await loader.getApp(fallbackName, globalConf));
}
makeUrlmap.settings = urlmapSettings;
makeUrlmap.check = (_globalConf: Settings, settings: SettingsOf<typeof urlmapSettings>): App =>
  mapOf(
    otherSettings(urlmapSettings, settings).map(([key]) => [key, notFound]),
    notFound,
  );

function mapOf(entries: readonly (readonly [key: string, app: App])[], fallback: App): App {
  const anyHost = new PathPrefixes<App>();
  const hosts = new Map<string, PathPrefixes<App>>();
  for (const [key, app] of entries) {
    const mountPoint = parseKey(key);
    if (!mountPoint) {
      throw new ConfigError('PASTER_URLMAP_KEY', `"${key}" is not a place to mount an application at`, {
        hint: 'allowed: /prefix, domain NAME [port N] /prefix, http://NAME[:N]/prefix',
      });
    }
    const { host, port, prefix } = mountPoint;
    const prefixes = host === undefined ? anyHost : addHost(hosts, port === undefined ? host : `${host}:${port}`);
    if (!prefixes.add(prefix, app)) {
      throw new ConfigError('PASTER_URLMAP_TWICE', `"${key}": this prefix is mapped already`, { setting: key });
    }
  }
  const route = (req: IncomingMessage): App => {
    toOriginForm(req);
    const forHost = hosts.size === 0 ? [] : prefixesForHost(hosts, req);
    if (forHost === AMBIGUOUS) return badHost;
    const match = longestPrefix(req.url ?? '/', [...forHost, anyHost]);
    if (match === AMBIGUOUS) return badPath;
    if (!match) return fallback;
    mountRequest(req, match.length);
    return match.value;
  };
  const urlmap: App = (req, res) => route(req)(req, res);
  // Without this property the server knows that no application handles upgrades.
  if (fallback.upgrade || entries.some(([, app]) => app.upgrade)) {
    urlmap.upgrade = (req, socket, head) => {
      const app = route(req);
      return app.upgrade ? app.upgrade(req, socket, head) : declineUpgrade(app, req, socket);
    };
  }
  return urlmap;
}

const badPath: App = (_req, res) => sendPlainText(res, 400, {}, AMBIGUOUS_PATH);
const badHost: App = (_req, res) => sendPlainText(res, 400, {}, 'Bad Request: ambiguous host');

function addHost(hosts: Map<string, PathPrefixes<App>>, host: string): PathPrefixes<App> {
  const key = host.toLowerCase();
  const prefixes = hosts.get(key) ?? new PathPrefixes<App>();
  hosts.set(key, prefixes);
  return prefixes;
}

/** `name` or `name.`, which mean the same, optionally with `:port` or `:`; empty if the client sends no host. */
const HOST = /^(?<name>\[[\da-f:.]+\]|[\w.~-]*?)\.?(?::0*(?<port>\d*))?$/i;

/**
 * The prefixes for the host's name and port, then those for its name alone. A Host without a port means the scheme's standard
 * port, as in Paste.
 * @returns AMBIGUOUS for a Host that an application could read differently than paster does.
 */
function prefixesForHost(
  hosts: ReadonlyMap<string, PathPrefixes<App>>,
  req: IncomingMessage,
): PathPrefixes<App>[] | typeof AMBIGUOUS {
  const groups = HOST.exec(requestHost(req) ?? '')?.groups;
  if (!groups) return AMBIGUOUS;
  const name = groups['name']?.toLowerCase() ?? '';
  const standardPort = 'encrypted' in req.socket && req.socket.encrypted ? 443 : 80;
  const keys = [`${name}:${groups['port'] || standardPort}`, name];
  return keys.map((key) => hosts.get(key)).filter((prefixes) => prefixes !== undefined);
}

/** A 404 that lists what is mounted, as Paste's; only with `debug`, since the list may be confidential. */
function listingNotFound(entries: readonly (readonly [key: string, name: string])[]): App {
  return (req: MountedRequest, res) => {
    const rows = entries.map(([key, name]) => {
      const shown = escapeHtml(key);
      const href = escapeHtml(`${req.baseUrl ?? ''}${key}`);
      return `<dt>${key.startsWith('/') ? `<a href="${href}">${shown}</a>` : shown}</dt><dd>${escapeHtml(name)}</dd>`;
    });
    const page = htmlPage(
      'Not Found',
      `<h1>Not Found</h1>
<p>Nothing is mounted at <code>${escapeHtml(req.url ?? '')}</code>${req.baseUrl ? ` below <code>${escapeHtml(req.baseUrl)}</code>` : ''}. Mounted here:</p>
<div class="part"><dl>${rows.join('\n')}</dl></div>`,
    );
    res.writeHead(404, { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(page) });
    res.end(page);
  };
}
