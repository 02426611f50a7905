/** `paster export` for each web server: no header of a client changes what the application learns about that client. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CLIENT_CLAIMS, FORWARDING_HEADERS } from '../../src/http/client-address.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { beforeSuite } from '../helpers/programs/lifetime.ts';
import { freePort, ROOT, requireProgram } from '../helpers/programs/program.ts';
import { ask } from '../helpers/requests/ask.ts';
import { optionalCertificate } from '../helpers/web-servers/certificate.ts';
import { projectWithServers, runWebServer, serveAll, WEB_SERVERS } from './site.ts';

const TOLD = `${join(ROOT, 'test/fixtures/apps/told.js')}:makeTold`;
const CLIENT = '127.0.0.2';
/** The prefix of the second test of each web server. */
const BELOW = '/shop';

const SERVERS = [...Object.entries(WEB_SERVERS).map(([target, { file }]) => [target, file]), ['caddy', 'caddy.json']];
const CASES = SERVERS.flatMap(([target = '', file = '']) =>
  ['http', 'https', 'fastcgi', 'scgi']
    .filter((kind) => !(kind === 'https' && target === 'lighttpd'))
    .filter((kind) => !(kind === 'scgi' && ['caddy', 'haproxy'].includes(target)))
    .map((kind) => ({ target, file, kind })),
);

/** The value that a client would like each header to have. */
function hostile(name: string): string {
  if (name === 'forwarded') return 'for=6.6.6.6;proto=https;host=evil.example';
  if (/proto|scheme|ssl|https/.test(name)) return name === 'front-end-https' || name.endsWith('ssl') ? 'on' : 'https';
  if (/host|server/.test(name)) return 'evil.example';
  if (/port$/.test(name)) return '4711';
  if (/prefix|ur[il]$|script/.test(name)) return '/evil';
  return '6.6.6.6';
}

const NAMES: readonly string[] = [...FORWARDING_HEADERS, ...CLIENT_CLAIMS];
const ALL = Object.fromEntries(NAMES.map((name) => [name, hostile(name)]));
const spelled = (change: (name: string) => string) =>
  Object.fromEntries(NAMES.map((name) => [change(name), hostile(name)]));

const REQUESTS: Readonly<Record<string, Record<string, string>>> = {
  'every header': ALL,
  'every header, each named in Connection': { ...ALL, connection: ['close', ...NAMES].join(', ') },
  'no header, each named in Connection': { connection: NAMES.join(',') },
  'capitals and spaces in Connection': { connection: ['keep-alive ', ...NAMES].join(' ,  ').toUpperCase() },
  underscores: spelled((name) => name.replaceAll('-', '_')),
  'one underscore': spelled((name) => name.replace('-', '_')),
  dots: spelled((name) => name.replaceAll('-', '.')),
  'other signs': spelled((name) => name.replaceAll('-', '~')),
};

/** What the web servers report themselves; Apache's name is the one in its configuration. */
function ofTheServer(host: string, prefix: string): ReadonlySet<string> {
  return new Set([
    `x-forwarded-for: ${CLIENT}`,
    `x-forwarded-for: 6.6.6.6, ${CLIENT}`,
    'x-forwarded-proto: http',
    `x-forwarded-host: ${host}`,
    'x-forwarded-server: localhost',
    `x-host: ${host}`,
    `x-forwarded-prefix: ${prefix}`,
  ]);
}

interface Told {
  readonly address: string;
  readonly encrypted: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

/** A project in which paster trusts every header from these addresses, so whatever the web server lets through has an effect. */
function trusting(trusted: string, servers: Readonly<Record<string, string>>): string {
  const filter = `[filter:client]
use = npm:paster#proxy_headers
trusted_proxies = ${trusted}
headers = ${FORWARDING_HEADERS.join(' ')}
`;
  return projectWithServers(servers, filter, `${TOLD}\nfilter-with = client`);
}

let overHttp: string;
let overGateways: string;
beforeSuite(async () => {
  const server = async (kind: string, settings = ''): Promise<string> =>
    `use = npm:paster#${kind}\nhost = 127.0.0.1\nport = ${await freePort()}\n${settings}`;
  const certificate = optionalCertificate(temporaryDirectory(), 'DNS:shop.example.org');
  const http = {
    http: await server('http'),
    ...(certificate ? { https: await server('http', `ssl_pem = ${certificate.pem}`) } : {}),
  };
  const gateways = {
    fastcgi: await server('fastcgi'),
    scgi: await server('scgi'),
    'scgi-below': await server('scgi', `script_name = ${BELOW}`),
  };
  overHttp = trusting('127.0.0.1', http);
  overGateways = trusting('127.0.0.0/8', gateways);
  await serveAll(overHttp, Object.keys(http));
  await serveAll(overGateways, Object.keys(gateways));
});

describe.each(CASES)('$target ($file) by $kind', ({ target, file, kind }) => {
  const isHttp = kind.startsWith('http');
  const missing =
    requireProgram(target === 'apache' ? 'apache2' : target) === undefined ||
    (kind === 'https' && requireProgram('openssl') === undefined);

  test.skipIf(missing).each(['', BELOW])('at "%s"', async (prefix) => {
    const section = kind === 'scgi' && prefix !== '' ? 'scgi-below' : kind;
    const options = ['--server-section', section, ...(prefix === '' ? [] : ['--prefix', prefix])];
    const origin = await runWebServer(target, isHttp ? overHttp : overGateways, options, file);
    const host = origin.replace('http://', '');
    for (const [what, headers] of Object.entries(REQUESTS)) {
      const { status, body } = await ask(origin, `${prefix}/a`, { headers, localAddress: CLIENT });
      expect({ what, status, body: status === 200 ? '' : String(body) }).toEqual({ what, status: 200, body: '' });
      const told: Told = JSON.parse(String(body));
      const { host: asked, ...headersTold } = told.headers;
      expect({ what, address: told.address, encrypted: told.encrypted, asked }).toEqual({
        what,
        address: CLIENT,
        encrypted: false,
        asked: host,
      });
      const claims = Object.entries(headersTold).filter(([name]) => NAMES.includes(name));
      expect({ what, claims: claims.filter((claim) => !ofTheServer(host, prefix).has(claim.join(': '))) }).toEqual({
        what,
        claims: [],
      });
      if (isHttp) expect(headersTold).toMatchObject({ 'x-forwarded-proto': 'http' });
      if (isHttp && prefix !== '') expect(headersTold).toMatchObject({ 'x-forwarded-prefix': prefix });
    }
  });
});
