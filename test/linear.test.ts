/**
 * The work for a request is proportional to its size, so that no request blocks the process: twice the input is about
 * twice the work, and no regular expression backtracks on text from a client.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { analyse } from 'scslre';
import { describe, expect, test } from 'vitest';
import { parseHead } from '../src/apps/cgi/script-head.ts';
import { health } from '../src/apps/monitoring/health.ts';
import { parseHost } from '../src/apps/proxy/target.ts';
import { redirect } from '../src/apps/redirect.ts';
import { acceptedEncodings } from '../src/apps/static/accept-encoding.ts';
import { urlMap } from '../src/apps/urlmap.ts';
import { authDigest } from '../src/filters/auth/digest.ts';
import { environFromRequest } from '../src/gateway/environ.ts';
import { refusalOf, requestHeaders } from '../src/gateway/hop/forwarded-headers.ts';
import { readHead } from '../src/gateway/request-head.ts';
import { requestTarget } from '../src/gateway/target.ts';
import { listItems, nodeAddress, parseForwarded } from '../src/http/client-address.ts';
import type { MountedRequest } from '../src/http/mount.ts';
import { overrideClient, removeHeaders } from '../src/http/override-client.ts';
import { isUnsafePath } from '../src/http/path-prefixes.ts';
import { preferredType } from '../src/http/request-headers.ts';
import { pathNames, targetPath } from '../src/http/url-path.ts';
import { printableLine } from '../src/printable.ts';
import { withoutSecretLiterals, withoutSecretParameters, withoutSecrets } from '../src/secrets.ts';
import { decodePairs, encodePairs } from '../src/servers/fastcgi/records.ts';
import { decodeVariables } from '../src/servers/scgi/head.ts';
import { ROOT } from './helpers/programs/program.ts';
import { workOf } from './helpers/work.ts';

const noop = (): void => {};
const res = { writeHead: noop, setHeader: noop, getHeader: noop, end: noop } as unknown as ServerResponse;
const map = await urlMap({ '/': noop, '/a': noop, '/b/c/d': noop, 'domain a.org /': noop });
const location = redirect({ to: '/' });
const checks = health();
const digest = await authDigest({ realm: 'x', users: [`joe:x:${'0'.repeat(64)}`] })(noop);

function request(url: string, headers: Record<string, string> = {}): IncomingMessage {
  const rawHeaders = Object.entries(headers).flat();
  return { url, method: 'GET', httpVersion: '1.1', headers, rawHeaders, socket: {} } as unknown as IncomingMessage;
}

const target = (requestUri: string, scriptName: string, pathInfo: string | undefined, mount?: string): unknown =>
  requestTarget({ requestUri, scriptName, pathInfo, queryString: '', serverSoftware: '', mount });

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `x-${index}`);

/** Functions that read a path of a client. */
const PATHS: Readonly<Record<string, (path: string) => unknown>> = {
  urlmap: (path) => map(request(path, { host: 'a.org' }), res),
  'urlmap with an absolute URL': (path) => map(request(`http://a.org${path}`), res),
  redirect: (path) => location(request(path), res),
  health: (path) => checks(request(path), res),
  'names of files': (path) => pathNames(targetPath(path)),
  'dot segments': isUnsafePath,
  'the environment of a program': (path) => environFromRequest(request(path)),
  'a gateway that does not split the path': (path) => target(path, path, undefined),
  'a gateway that splits the path': (path) => target(`/app${path}`, '/app', path),
  'a gateway with a mount': (path) => target(path, '', path, '/a/b'),
  'a long script name': (path) => target(`${path}/x`, path, '/x'),
  'secret parameters': withoutSecretParameters,
  'a line of the log': printableLine,
};

/** A test path is one of these, repeated. */
const PIECES = [
  '/a',
  '/',
  '//b',
  'a',
  '%2f',
  '%2F..',
  '%',
  '%zz',
  '/./',
  '/../',
  '\\',
  ';',
  '/;x',
  '#',
  '?',
  '&a=',
  '=',
  '\xe9',
  '/b/c/d',
];

/** Functions that read other texts of clients, and pieces that are repeated to make such a text. */
const TEXTS: Readonly<Record<string, readonly [read: (text: string) => unknown, ...pieces: string[]]>> = {
  'Accept-Encoding': [
    (text) => acceptedEncodings(text, ['br', 'gzip']),
    'gzip,',
    ',',
    ';',
    'a;q=0.5,',
    ' ',
    ';q=',
    'q',
  ],
  Accept: [
    (text) => preferredType(text, ['text/html', 'text/plain']),
    'text/html,',
    ',',
    ';',
    'a/b;q=0.5,',
    ' ',
    ';q =',
    '*/*,',
  ],
  Forwarded: [parseForwarded, 'for=a,', 'for="a",', 'for="', '\\"', ' ', ';', 'a', ','],
  'X-Forwarded-For': [(text) => listItems(text).map(nodeAddress), '1.2.3.4, ', ',', ' ', '[', '1.', '1:', '::'],
  Host: [parseHost, 'a.', 'a', '-', '.', '[', ':1', '1', ':'],
  'the Host of a request': [
    (text) => overrideClient(request('/') as MountedRequest, { host: text }),
    'a:1',
    ':',
    '1',
    'a',
  ],
  'Digest credentials': [
    (text) => digest(request('/', { authorization: `Digest ${text}` }), res),
    ...['a=b, ', 'a="b', '\\"', ' ', ',', '=', 'a', '"', 'a = '],
  ],
  Connection: [
    (text) => {
      const req = request('/', { connection: text });
      refusalOf(req);
      requestHeaders(req, { host: 'x', suppressed: new Set(), passed: new Set() });
    },
    ...['a, ', ',', ' ', 'a'],
  ],
  'the head of a script': [
    (text) => attempt(() => parseHead(text, false)),
    'A: b\n',
    ' ',
    'A: \t b \t',
    ':',
    '\r',
    '\n',
    'A:',
    'a',
  ],
  'a message with a URL': [withoutSecrets, 'a://', 'a://b:c', '@', ':', '/', 'a', 'http://a:b@'],
  'a message with a literal': [withoutSecretLiterals, 'a="', "a='", '\\"', 'a=', ' ', '"', 'a: "b', '`'],
};

/** Functions that read a request with many headers or variables. */
const MANY: Readonly<Record<string, (count: number) => () => unknown>> = {
  'headers of a gateway': (count) => {
    const pairs = names(count).flatMap((name) => [`HTTP_${name.replaceAll('-', '_')}`, 'value']);
    return () => readHead(pairs);
  },
  'headers that are taken out': (count) => {
    const rawHeaders = names(count).flatMap((name) => [name, 'value']);
    return () => removeHeaders(Object.assign(request('/'), { rawHeaders: [...rawHeaders] }), new Set(names(count)));
  },
  'headers of a program': (count) => {
    const req = request('/', Object.fromEntries(names(count).map((name) => [name, 'value'])));
    return () => environFromRequest(req);
  },
  'FastCGI variables': (count) => {
    const bytes = encodePairs(names(count).flatMap((name) => [name, 'value']));
    return () => decodePairs(bytes);
  },
  'SCGI variables': (count) => {
    const pairs = names(count).flatMap((name) => [name, 'value']);
    const block = Buffer.from(['CONTENT_LENGTH', '0', 'SCGI', '1', ...pairs, ''].join('\0'));
    return () => decodeVariables(block);
  },
};

function attempt(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

/** @param make returns the function to measure, for an input of `count` pieces */
function expectLinear(what: string, make: (count: number) => () => unknown, count = 600): void {
  // The first call also fills caches, which must not be measured.
  make(2 * count)();
  const [once, twice] = [workOf(make(count)), workOf(make(2 * count))];
  // Quadratic work would be four times as much. The constant is for functions that hardly read their input.
  expect(twice, `${what}: ${once} for ${count}, and ${twice} for twice as much`).toBeLessThan(2.5 * once + 500);
}

describe('twice the input is twice the work', () => {
  test.each(Object.entries(PATHS))('a path for %s', (_name, read) => {
    for (const piece of PIECES) {
      for (const end of ['', '/x', '%']) {
        expectLinear(`${piece} ... ${end}`, (count) => () => attempt(() => read(`/${piece.repeat(count)}${end}`)));
      }
    }
  });

  test.each(Object.entries(TEXTS))('%s', (_name, [read, ...pieces]) => {
    for (const piece of pieces) {
      for (const end of ['', '\x01']) {
        expectLinear(`${piece} ... ${end}`, (count) => () => attempt(() => read(`${piece.repeat(count)}${end}`)));
      }
    }
  });

  test.each(Object.entries(MANY))('%s', (name, make) => expectLinear(name, make, 400));
});

test('the measurement detects quadratic work of built-ins', () => {
  const prefixes = (path: string) => (): unknown => {
    const map = new Map<string, unknown>();
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) map.get(path.slice(0, end));
    return map;
  };
  expect(() => expectLinear('prefixes', (count) => prefixes('/a'.repeat(count)))).toThrow(/for twice as much/);
});

/** Folders and files whose regular expressions only match configuration, source code or /proc, never text of a client. */
const NOT_FOR_REQUESTS = [
  ...['commands/', 'config/', 'deploy/', 'export/', 'files/', 'process/', 'scaffold/'],
  // These expressions match values of settings.
  ...['apps/cgi/settings.ts', 'apps/urlmap.ts', 'logging/python/line-format.ts'],
  // They match source code and a number.
  'diagnostics/source-excerpt.ts',
];

test('no regular expression that matches text of a client backtracks more than linearly', () => {
  const SRC = join(ROOT, 'src');
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  expect(NOT_FOR_REQUESTS.filter((exempt) => !files.some((file) => file.startsWith(exempt)))).toEqual([]);
  const checked = files.filter((file) => !NOT_FOR_REQUESTS.some((exempt) => file.startsWith(exempt)));
  const slow = checked.flatMap((file) =>
    literalsOf(readFileSync(join(SRC, file), 'utf8')).flatMap(({ pattern, flags }) => {
      const { reports } = analyse({ source: pattern, flags });
      return reports.map(({ type }) => `${file}: /${pattern}/${flags} (${type})`);
    }),
  );
  expect(slow).toEqual([]);
  expect(analyse({ source: '\\/+$', flags: '' }).reports).toHaveLength(1);
});

function literalsOf(code: string): { pattern: string; flags: string }[] {
  const found: { pattern: string; flags: string }[] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    if ('regex' in node) found.push(node.regex as { pattern: string; flags: string });
    else for (const child of Object.values(node)) visit(child);
  };
  visit(parseAst(code, { lang: 'ts' }));
  return found;
}
