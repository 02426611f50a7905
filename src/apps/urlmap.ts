/**
 * `npm:paster#urlmap` (`egg:Paste#urlmap`): applications by path prefix, the longest first. Keys are `/prefix` or
 * `domain NAME [port N] /prefix`; values name applications.
 */
import type { IncomingMessage } from 'node:http';
import { defineSettings, otherSettings, type SettingsOf, text } from '../config/setting.ts';
import type { Loader } from '../deploy/compose.ts';
import { ConfigError } from '../errors.ts';
import { decodePath, mountRequest, pathEnd, toOriginForm } from '../http/mount.ts';
import { declineUpgrade } from '../protocol/decline-upgrade.ts';
import { notFound } from '../protocol/not-found.ts';
import type { App, Settings } from '../protocol/types.ts';

const KEY = /^(?=\/|domain\s)(?:domain\s+(?<host>\S+)(?:\s+port\s+(?<port>\d+))?\s*)?(?<path>\/.*)?$/;

export const urlmapSettings = defineSettings(
  {
    not_found_app: {
      type: text,
      help: 'The application for everything else, here or in [DEFAULT]; without it, a plain 404.',
    },
  },
  {
    meaning: 'applications by path prefix, and by host',
    others: { accepts: (key) => KEY.test(key), help: '/prefix, or domain NAME [port N] /prefix, and an application' },
  },
);

/** Applications by prefix; the prefixes of one host, or of any. */
type Prefixes = Map<string, App>;

/** Makes the composite of a `[composite:*]` section. */
export async function makeUrlmap(
  loader: Loader,
  globalConf: Settings,
  settings: SettingsOf<typeof urlmapSettings>,
): Promise<App> {
  const anyHost: Prefixes = new Map();
  const hosts = new Map<string, Prefixes>();
  const parts: App[] = [];
  for (const [key, name] of otherSettings(urlmapSettings, settings)) {
    const { host, port, path = '' } = KEY.exec(key)?.groups ?? {};
    const prefixes = host === undefined ? anyHost : prefixesOf(hosts, port === undefined ? host : `${host}:${port}`);
    const prefix = normalPrefix(path);
    if (prefixes.has(prefix)) {
      throw new ConfigError('PASTER_URLMAP_TWICE', `"${key}": this prefix is mapped already`, { setting: key });
    }
    const part = await loader.getApp(name, globalConf);
    prefixes.set(prefix, part);
    parts.push(part);
  }
  // As Paste's: of the globals too, and an empty name is none.
  const fallbackName = settings.not_found_app ?? globalConf['not_found_app'] ?? '';
  const fallback = fallbackName === '' ? notFound : await loader.getApp(fallbackName, globalConf);
  parts.push(fallback);

  const route = (req: IncomingMessage): App => {
    toOriginForm(req);
    const byHost = hosts.size === 0 ? undefined : hostPrefixes(hosts, req);
    return (byHost && mountLongest(byHost, req)) ?? mountLongest(anyHost, req) ?? fallback;
  };
  const urlmap: App = (req, res) => route(req)(req, res);
  // Where nobody upgrades, the server need not ask.
  if (parts.some((part) => part.upgrade)) {
    urlmap.upgrade = (req, socket, head) => {
      const app = route(req);
      return app.upgrade ? app.upgrade(req, socket, head) : declineUpgrade(app, req, socket);
    };
  }
  return urlmap;
}
makeUrlmap.settings = urlmapSettings;

function prefixesOf(hosts: Map<string, Prefixes>, host: string): Prefixes {
  const key = host.toLowerCase();
  const prefixes: Prefixes = hosts.get(key) ?? new Map();
  hosts.set(key, prefixes);
  return prefixes;
}

/** By name and port, then by name alone; a Host without a port means the standard one of the scheme, as in Paste. */
function hostPrefixes(hosts: ReadonlyMap<string, Prefixes>, req: IncomingMessage): Prefixes | undefined {
  const host = req.headers.host?.toLowerCase() ?? '';
  const name = host.replace(/:\d+$/, '');
  const standardPort = 'encrypted' in req.socket && req.socket.encrypted ? 443 : 80;
  return hosts.get(name === host ? `${host}:${standardPort}` : host) ?? hosts.get(name);
}

/** Without double slashes, and without the one at the end: the root is the empty prefix. */
function normalPrefix(path: string): string {
  return path.replace(/\/+/g, '/').replace(/\/$/, '');
}

/** Looks the path up with ever fewer segments, so that the cost is that of its depth, not of the number of prefixes. */
function mountLongest(prefixes: Prefixes, req: IncomingMessage): App | undefined {
  const url = req.url ?? '/';
  let end = pathEnd(url);
  for (;;) {
    const app = prefixes.get(withoutDoubles(decodePath(url.slice(0, end))));
    if (app) {
      mountRequest(req, end);
      return app;
    }
    if (end === 0) return undefined;
    end = Math.max(0, url.lastIndexOf('/', end - 1));
  }
}

function withoutDoubles(path: string): string {
  return path.includes('//') ? normalPrefix(path) : path;
}
