/** Every filter passes on `ready`, `close` and upgrades, and a real WebSocket passes a chain of them. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { loadFilter } from '../../../src/deploy/load.ts';
import type { App } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { ROOT } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { mirror, serveThrough } from '../serve.ts';

const USER = 'joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=';
const SECRET = 'a-secret-of-more-than-32-characters!';

/** A chain of filters, with settings that let a request with the password of USER through. */
const CHAIN: Readonly<Record<string, string>> = {
  proxy_headers: '',
  prefix: 'prefix = /app',
  maintenance: '',
  ratelimit: 'limit = 100',
  grantip: '127.0.0.1 = -:local\nrefuse_others = true',
  auth_basic: `users = ${USER}`,
  bodylimit: '',
  timeout: '',
  security_headers: '',
  cors: 'origins = https://example.com',
  gzip: '',
  session: `secret = ${SECRET}`,
};

/** The other filters, with the settings that they require. */
const OTHERS: Readonly<Record<string, string>> = {
  auth_digest: `realm = r\nusers = joe:r:${'0'.repeat(32)}`,
  static: 'document_root = .',
  compression: '',
  error_page: '',
  error_catcher: '',
  evalerror: '',
  cgitb: '',
  errordocument: '404 = /missing',
  httpexceptions: '',
  recursive: '',
  translogger: '',
  lint: '',
  printdebug: '',
  profile: 'log_filename = x.cpuprofile',
};

const sectionsOf = (filters: Readonly<Record<string, string>>): string[] =>
  Object.entries(filters).map(([name, settings]) => `${name}\n${settings}`);
const SECTIONS = sectionsOf(CHAIN);
const PASSWORD = { authorization: `Basic ${Buffer.from('joe:secret').toString('base64')}` };

test('every built-in filter is in one of the two lists', () => {
  const { paster } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(Object.keys({ ...CHAIN, ...OTHERS }).sort()).toEqual(Object.keys(paster['paste.filter_factory']).sort());
});

describe('calls ready and close of the application once', () => {
  test.each([...SECTIONS, ...sectionsOf(OTHERS)])('%s', async (section) => {
    const calls: string[] = [];
    const app: App = Object.assign((() => {}) as App, {
      ready: () => calls.push('ready'),
      close: () => calls.push('close'),
      upgrade: () => {},
    });
    const directory = temporaryDirectory({ 'x.ini': `[filter:f]\nuse = npm:paster#${section}\n` });
    const filter = await loadFilter('config:x.ini#f', { relativeTo: directory });
    const filtered = await filter(app);
    await filtered.ready?.();
    await filtered.close?.();
    expect(calls).toEqual(['ready', 'close']);
    expect(filtered.upgrade).toBeTypeOf('function');
    // Without a handler of upgrades, the server does not call the application for them.
    expect((await filter(() => {})).upgrade).toBeUndefined();
  });
});

describe('a WebSocket', () => {
  const sockets = new WebSocketServer({ noServer: true });
  afterEach(() => {
    for (const each of sockets.clients) each.terminate();
  });

  const echoing: App = (req, res) => mirror(req, res);
  echoing.upgrade = (req, socket, head) =>
    sockets.handleUpgrade(req, socket, head, (each) => {
      const { remoteUser, session } = req as unknown as Record<string, unknown>;
      each.send(JSON.stringify({ remoteUser, session, address: req.socket.remoteAddress, url: req.url }));
      each.on('message', (message) => each.send(String(message).toUpperCase()));
    });

  test('passes through the chain', async () => {
    const { url } = await serveThrough(SECTIONS, echoing);
    const client = new WebSocket(`${url}/app/talk`, { headers: PASSWORD });
    const [hello] = await once(client, 'message');
    expect(JSON.parse(String(hello))).toEqual({ remoteUser: 'joe', session: {}, address: '127.0.0.1', url: '/talk' });
    client.send('text');
    expect(String((await once(client, 'message'))[0])).toBe('TEXT');
    client.close();
    await once(client, 'close');
    expect((await ask(url, '/', { headers: PASSWORD })).status).toBe(200);
  });

  test.each<[string, Record<string, string>, number]>([
    ['without a password', {}, 401],
    ['from a page of another origin', { ...PASSWORD, origin: 'https://evil.example' }, 403],
    ['from another address', { ...PASSWORD, 'x-forwarded-for': '192.0.2.1' }, 403],
  ])('does not pass %s', async (_how, headers, status) => {
    const { url } = await serveThrough(SECTIONS, echoing);
    const client = new WebSocket(`${url}/app/talk`, { headers });
    const [error] = await once(client, 'error');
    expect(String(error)).toContain(`Unexpected server response: ${status}`);
  });
});
