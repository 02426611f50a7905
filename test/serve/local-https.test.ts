/** The local authority of `serve --https` and its certificates: who may use the keys, what OpenSSL accepts, and serving with them. */
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { authorityCertificate, isCertifiable, serverCertificate } from '../../src/serve/local-https/certificate.ts';
import { localCertificate } from '../../src/serve/local-https/local-certificate.ts';
import { trustLines } from '../../src/serve/local-https/trust.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { needProgram, paster, serve } from '../helpers/programs/program.ts';

let data = '';

beforeEach(() => {
  data = temporaryDirectory({ 'app.js': "export default (req, res) => res.end('HTTP/' + req.httpVersion);\n" });
  writeFileSync(join(data, 'package.json'), '{"type": "module"}');
  vi.stubEnv('XDG_DATA_HOME', data);
});

afterEach(() => {
  vi.unstubAllEnvs();
});

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

test('the authority is created once, readable only by this user, and again when it can no longer be used', () => {
  const first = localCertificate();
  const directory = join(data, 'paster', 'https');
  expect(first).toEqual({ pem: join(directory, 'server.pem'), authority: join(directory, 'ca.pem'), isNew: true });
  expect([directory, first.pem, join(directory, 'ca-key.pem')].map(modeOf)).toEqual(['700', '600', '600']);
  const certificate = new X509Certificate(readFileSync(first.pem));
  const authority = readFileSync(first.authority, 'utf8');
  expect(certificate.verify(new X509Certificate(authority).publicKey)).toBe(true);
  expect([certificate.checkHost('localhost'), certificate.checkIP('127.0.0.1'), certificate.checkIP('::1')]).toEqual([
    'localhost',
    '127.0.0.1',
    '::1',
  ]);
  const text = readFileSync(first.pem, 'utf8');
  expect(localCertificate().isNew).toBe(false);
  expect(readFileSync(first.pem, 'utf8')).toBe(text);
  for (const unusable of ['', text.slice(0, 300), text.slice(0, -200)]) {
    writeFileSync(first.pem, unusable);
    expect(localCertificate().isNew).toBe(false);
    expect(new X509Certificate(readFileSync(first.pem)).checkHost('localhost')).toBe('localhost');
  }
  expect(readFileSync(first.authority, 'utf8')).toBe(authority);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 380 * 86_400_000 });
  try {
    localCertificate();
    const renewed = new X509Certificate(readFileSync(first.pem));
    expect(Date.parse(renewed.validTo) - Date.now()).toBeGreaterThan(390 * 86_400_000);
  } finally {
    vi.useRealTimers();
  }
  expect(readdirSync(directory).sort()).toEqual(['ca-key.pem', 'ca.pem', 'server.pem']);
});

test('no keys are stored if another user controls the directory, and a damaged authority is not used', () => {
  chmodSync(data, 0o777);
  expect(() => localCertificate()).toThrow(/is not a safe place for keys: other users can write to /);
  expect(existsSync(join(data, 'paster'))).toBe(false);
  chmodSync(data, 0o700);
  const { authority } = localCertificate();
  writeFileSync(join(data, 'paster/https/ca-key.pem'), readFileSync(authority));
  expect(() => localCertificate()).toThrow(/^--https: /);
});

test('the authority can certify only local names and addresses', () => {
  const openssl = needProgram('openssl');
  const keys = [1, 2].map(() => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey);
  const [key, server] = keys;
  if (!key || !server) throw new Error('there are two keys');
  const authority = { key, hostName: 'laptop.example.net' };
  writeFileSync(join(data, 'ca.pem'), authorityCertificate(authority, 400));
  const verify = (...names: string[]) => {
    writeFileSync(join(data, 'server.pem'), serverCertificate(authority, server, names, 30));
    const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', 'ca.pem', 'server.pem'];
    const { stdout, stderr } = spawnSync(openssl, args, { cwd: data, encoding: 'utf8' });
    return /permitted subtree violation|: OK$/m.exec(stdout + stderr)?.[0] ?? stdout + stderr;
  };
  const local = ['localhost', 'laptop.example.net', 'laptop.local', 'shop.test', '127.0.0.1', '::1', '192.168.1.20'];
  expect(verify(...local, '172.31.0.1', 'fd00::2')).toBe(': OK');
  for (const name of ['example.net', 'example.org', 'evil.com', '8.8.8.8', '172.32.0.1', '2001:db8::1']) {
    expect([name, isCertifiable(name, authority.hostName), verify('localhost', name)]).toEqual([
      name,
      false,
      'permitted subtree violation',
    ]);
  }
  expect(local.every((name) => isCertifiable(name, authority.hostName))).toBe(true);
});

test('the instructions to trust it are a valid shell command, whatever the path', () => {
  expect(trustLines("/home/o'x y/ca.pem", 'darwin')[2]).toMatch(/ '\/home\/o'\\''x y\/ca\.pem'$/);
  expect(trustLines('/home/x/ca.pem', 'linux').join('\n')).toContain('-i /home/x/ca.pem');
});

test('serve --https: HTTP/1.1 and HTTP/2 for clients that trust the authority', async () => {
  const ini = '[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\nworkers = 1\n';
  writeFileSync(join(data, 'x.ini'), ini);
  const program = await serve(['x.ini', '--https', '--reload'], { cwd: data, env: { XDG_DATA_HOME: data } });
  const { url } = program;
  expect(url).toMatch(/^https:\/\/127\.0\.0\.1:/);
  await program.says(/made a certificate authority for this machine: .*\/paster\/https\/ca\.pem/);
  const ca = readFileSync(join(data, 'paster/https/ca.pem'));
  const http1 = await new Promise<string>((resolve, reject) => {
    const req = request(url, { ca, agent: false }, (res) => res.on('data', (body) => resolve(String(body))));
    req.on('error', reject).end();
  });
  expect(http1).toBe('HTTP/1.1');
  const client = connect(url.replace('127.0.0.1', 'localhost'), { ca, host: '127.0.0.1' });
  const stream = client.request({ ':path': '/' });
  const [body] = await once(stream, 'data');
  expect(String(body)).toBe('HTTP/2.0');
  client.close();
});

test('serve --https is refused if it makes no sense', async () => {
  const ini = '[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#scgi\nport = 0\n';
  writeFileSync(join(data, 'x.ini'), ini);
  const refused = async (...args: string[]) => {
    const { status, stderr } = await paster(['serve', 'x.ini', '--https', ...args], {
      cwd: data,
      env: { XDG_DATA_HOME: data },
    }).finished();
    expect(status).toBe(2);
    return stderr;
  };
  expect(await refused('--user', 'nobody')).toContain('serve: --https and --user are mutually exclusive');
  expect(await refused()).toMatch(/^paster: x\.ini:3:1: --https: \[server:main\] does not speak HTTP/m);
});
