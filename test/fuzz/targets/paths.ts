/**
 * Malicious paths against a URL map whose parts are proxies of one server: however that server reads a path, the result must not
 * be one of another part.
 */
import type { IncomingMessage } from 'node:http';
import { posix } from 'node:path';
import { urlMap } from '../../../src/apps/urlmap.ts';
import type { MountedRequest } from '../../../src/http/mount.ts';
import type { App } from '../../../src/protocol/types.ts';
import type { Random } from '../random.ts';
import { must, type Target } from '../target.ts';

const PREFIXES = ['/', '/admin', '/public', '/public/admin', '/a b'];

const PIECES = [
  ...['/', '/', '/', '//', '\\', '%2f', '%2F', '%5c', '%5C', '/./', '/../'],
  ...['.', '..', '%2e', '%2E', '.%2e', '%252e', '%c0%ae', '%c0%af', '%e0%80%af', '\xc0\xae'],
  ...['admin', 'admin', 'public', 'x', '%61dmin', 'adm%69n', 'a%20b', '\xc3\xa9', 'ADMIN'],
  ...[';', ';x=1', '%3b', '#', '%23', '?', '%3f', '%00', '%', '%zz', ':80', '@', '*'],
];

export const paths: Target = {
  name: 'paths',
  async start() {
    const seen: [prefix: string, req: MountedRequest][] = [];
    const part = (prefix: string): App => {
      return (req) => void seen.push([prefix, req]);
    };
    const map = await urlMap(Object.fromEntries(PREFIXES.map((prefix) => [prefix, part(prefix)])));
    return {
      async run(random, trace) {
        const path = pathOf(random);
        trace.push(Buffer.from(path, 'latin1'));
        const req = { url: path, headers: { host: 'localhost' }, socket: {} } as IncomingMessage;
        map(req, { writeHead() {}, end() {} } as never);
        const found = seen.pop();
        if (!found) return;
        const [prefix, { baseUrl = '', url }] = found;
        for (let readings = 20; readings > 0; readings--) {
          const read = reading(random, baseUrl + url);
          const owner = ownerOf(read);
          must(
            owner === prefix || prefix.startsWith(owner),
            `${JSON.stringify(path)} goes to ${prefix}, and its server may read it as ${JSON.stringify(read)}`,
          );
        }
      },
      async stop() {},
    };
  },
};

function pathOf(random: Random): string {
  const pieces = Array.from({ length: 1 + random.below(8) }, () => random.pick(PIECES)).join('');
  return random.pick(['/', '/', '/', '//', '', '/admin', '/public', 'http://localhost', 'http://localhost/']) + pieces;
}

/** The longest prefix of a decoded path. */
function ownerOf(path: string): string {
  const below = (prefix: string): boolean => path === prefix || path.startsWith(`${prefix}/`);
  const owners = PREFIXES.filter((prefix) => prefix !== '/' && below(prefix));
  return owners.sort((one, other) => other.length - one.length)[0] ?? '/';
}

/** What servers do to a path, in any order, except that they decode it only once. */
const STEPS: readonly ((path: string) => string)[] = [
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replaceAll(/\/+/g, '/'),
  (path) => path.replaceAll(/;[^/]*/g, ''),
  (path) => path.replace(/[?#\0].*/s, ''),
  (path) =>
    path.replaceAll(/[\xc0\xc1]([\x80-\xbf])/g, (_, last: string) => String.fromCharCode(last.charCodeAt(0) & 0x7f)),
  (path) => (path.startsWith('/') ? posix.normalize(path) : path),
  withoutDots,
  withoutDots,
];

const DECODERS: readonly ((path: string) => string)[] = [
  (path) => path.replace(/%([\da-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
  // Letters, digits and dots alone (RFC 3986 section 6.2.2.2).
  (path) => path.replace(/%(?:2[de]|3\d|[46][1-9a-f]|[57][\da]|5f|7e)/gi, decodeURIComponent),
  (path) => path.replaceAll(/%2f/gi, '/').replaceAll(/%5c/gi, '\\'),
];

/** `URL` reads `%2e` as a dot, so a decoded path would be decoded again. */
const BEFORE_DECODING = [...STEPS, urlPath, (path: string) => urlPath(`http://localhost${path}`)];

function urlPath(path: string): string {
  try {
    return new URL(path, 'http://localhost/').pathname;
  } catch {
    return path;
  }
}

/** RFC 3986 section 5.2.4, which keeps empty segments. */
function withoutDots(path: string): string {
  const [, ...segments] = path.split('/');
  const kept: string[] = [];
  segments.forEach((segment, index) => {
    if (segment === '..') kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (index === segments.length - 1) kept.push('');
  });
  return `/${kept.join('/')}`;
}

function reading(random: Random, target: string): string {
  let path = target.replace(/\?.*/s, '');
  for (let count = random.below(5); count > 0; count--) path = random.pick(BEFORE_DECODING)(path);
  path = random.pick(DECODERS)(path);
  for (let count = random.below(5); count > 0; count--) path = random.pick(STEPS)(path);
  return path;
}
