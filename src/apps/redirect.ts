/** `npm:paster#redirect`: sends the client to another URL, with the rest of the path and the query or without. */
import { defineSettings, type SettingsOf } from '../config/settings/setting.ts';
import { bool, oneOf, text } from '../config/settings/setting-types.ts';
import { ConfigError } from '../errors.ts';
import { escapeHtml } from '../http/html.ts';
import { isAtMount, type MountedRequest, toOriginForm } from '../http/mount.ts';
import type { App, Settings } from '../protocol/types.ts';

export const redirectSettings = defineSettings(
  {
    to: {
      type: text,
      required: true,
      help: 'The target: a URL with its host, or a path on the same host.',
      example: 'https://www.example.org/new',
    },
    status: {
      type: oneOf('301', '302', '303', '307', '308'),
      default: '302',
      help: 'Clients remember 301 and 308; 307 and 308 keep the method and the body.',
    },
    keep_path: { type: bool, default: true, help: 'Add the rest of the request’s path to the target.' },
    keep_query: { type: bool, default: true, help: 'Add the query of the request to the target.' },
  },
  { meaning: 'sends the client to another URL' },
);

/** Options of `redirect`. */
export interface RedirectOptions {
  /** A URL of http or https, or a path that begins with one slash. */
  readonly to: string;
  /** Default: 302. */
  readonly status?: 301 | 302 | 303 | 307 | 308;
  /** Add the part of the path below the mount. Default: true. */
  readonly keepPath?: boolean;
  /** Add the query. Default: true. */
  readonly keepQuery?: boolean;
}

/**
 * An application that redirects each request to the host of `to`, or to the request's own host if `to` is a path. No path
 * that a client sends leads to another host.
 *
 * @throws ConfigError if `to` is neither a URL nor a path.
 */
export function redirect({ to, status = 302, keepPath = true, keepQuery = true }: RedirectOptions): App {
  const target = parseRedirectTarget(to);
  return (req: MountedRequest, res) => {
    toOriginForm(req);
    const [, given = '', query = ''] = /^([^?]*)(?:\?(.*))?$/s.exec(req.url ?? '/') ?? [];
    // Without a slash in front, it would continue the host's name.
    const path = isAtMount(req) ? '' : given.startsWith('/') ? given : `/${given}`;
    const whole = target.path + (keepPath ? pathBelow(target.path, path) : '');
    const queries = [target.query, keepQuery ? query : ''].filter((each) => each !== '').join('&');
    const base = target.origin === '' ? onThisHost(whole) : target.origin + whole;
    const location = encodeForHeader(`${base}${queries && '?'}${queries}`) + target.fragment;
    const link = escapeHtml(location);
    const body = `<!doctype html>\n<title>Redirect</title>\n<a href="${link}">${link}</a>\n`;
    res.writeHead(status, {
      location,
      'content-type': 'text/html; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    });
    res.end(body);
  };
}

/** Makes the application of an `[app:*]` section. */
export function makeRedirect(_globalConf: Settings, settings: SettingsOf<typeof redirectSettings>): App {
  const { to, status, keep_path: keepPath, keep_query: keepQuery } = settings;
  return redirect({ to, status: STATUSES[status], keepPath, keepQuery });
}
makeRedirect.settings = redirectSettings;
makeRedirect.check = makeRedirect;

const STATUSES = { '301': 301, '302': 302, '303': 303, '307': 307, '308': 308 } as const;

interface RedirectTarget {
  /** `https://host`; empty: the request's host. */
  readonly origin: string;
  readonly path: string;
  readonly query: string;
  readonly fragment: string;
}

const TARGET = /^(https?:\/\/[^/?#\\\s]+)?(\/[^?#\s]*)?(?:\?([^#\s]*))?(#[\x21-\x7e]*)?$/i;

function parseRedirectTarget(to: string): RedirectTarget {
  const [, origin = '', path = '', query = '', fragment = ''] = TARGET.exec(to) ?? [];
  const isUrl = origin !== '' && URL.canParse(origin);
  // A browser reads "//host" and "/\host" as another host.
  const isPath = origin === '' && path !== '' && !/^\/[/\\]/.test(path);
  if (!isUrl && !isPath) {
    throw new ConfigError('PASTER_REDIRECT', `to: "${to}" is not a URL to redirect to`, {
      setting: 'to',
      hint: 'allowed: http://host/path, https://host/path, or a path that begins with one slash',
    });
  }
  return { origin, path, query, fragment };
}

/** The request's path, to append to the target's so that one slash separates them; empty for the mount itself. */
function pathBelow(target: string, path: string): string {
  if (path === '') return '';
  if (path === '/') return target === '' || target.endsWith('/') ? '' : '/';
  return target.endsWith('/') ? path.slice(1) : path;
}

/** A client's `//evil.example` must not become the host of a redirection to a path of this one. */
function onThisHost(path: string): string {
  return path.replace(/^[/\\]+/, '/');
}

/** Encodes the characters that are not allowed in a URL, since a header or a browser could misread them. */
function encodeForHeader(url: string): string {
  return url.replace(/[^\x21-\x7e]|["<>\\^`{|}]/g, (character) =>
    [...Buffer.from(character, 'latin1')]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}
