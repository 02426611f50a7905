/** Certificates of the HTTP server: renewed while it serves, several by host name, and those of clients. */
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { eventually, type Program, paster, requireProgram, serve } from '../../helpers/programs/program.ts';
import { Authority } from '../../helpers/web-servers/authority.ts';

const APP = `
export default function app(req, res) {
  const { socket } = req;
  const { subject } = socket.getPeerCertificate();
  res.end(JSON.stringify({
    authorized: socket.authorized,
    error: socket.authorizationError ?? null,
    name: subject?.CN,
    x509: socket.getPeerX509Certificate?.()?.subject,
    servername: socket.servername,
  }));
}
`;

const hasOpenssl = requireProgram('openssl') !== undefined;

type Served = Program & { readonly url: string };

/** The INI file, in a directory with the files of the certificates. */
async function served(directory: string, settings: string): Promise<Served> {
  writeFileSync(join(directory, 'app.mjs'), APP);
  writeFileSync(
    join(directory, 'x.ini'),
    `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = 0\n${settings}\n`,
  );
  return serve(['x.ini'], { cwd: directory, env: { XDG_RUNTIME_DIR: directory } });
}

/** A connection, or the error that the client gets. */
async function connected({ url }: Served, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', rejectUnauthorized: false, ...options });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

/** The common name of the certificate that a client gets. */
async function nameFor(program: Served, servername?: string): Promise<string> {
  const socket = await connected(program, servername === undefined ? {} : { servername });
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

function ask({ url }: Served, options: ConnectionOptions = {}): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { agent: false, rejectUnauthorized: false, ...options }, async (response) => {
      resolve(JSON.parse(Buffer.concat(await response.toArray()).toString()));
    });
    asking.on('error', reject);
    asking.end();
  });
}

async function askHttp2({ url }: Served, options: ConnectionOptions = {}): Promise<Record<string, unknown>> {
  const session = connectHttp2(url, { rejectUnauthorized: false, ...options });
  onTestFinished(() => void session.destroy());
  return JSON.parse(Buffer.concat(await session.request({ ':path': '/' }).toArray()).toString());
}

describe.skipIf(!hasOpenssl)('certificates', () => {
  let directory: string;
  let authority: Authority;
  let client: { cert: Buffer; key: Buffer };
  beforeSuite(async () => {
    directory = temporaryDirectory();
    authority = new Authority(directory);
    const { cert, key } = authority.sign('client', 'a client');
    client = { cert: readFileSync(cert), key: readFileSync(key) };
  });

  describe('several certificates, and optional client certificates', () => {
    let program: Served;
    beforeSuite(async () => {
      authority.sign('one', 'one', 'DNS:example.org,DNS:www.example.org');
      authority.sign('two', 'two', 'DNS:*.example.org,DNS:example.com');
      authority.sign('plain', 'plain.example.net');
      const settings = `http2 = true
ssl_cert = one.pem
    two.pem
    plain.pem
ssl_key = one.key
    two.key
    plain.key
ssl_client_ca = authority.pem
ssl_client_verify = optional`;
      program = await served(directory, settings);
    });

    test.each([
      ['example.org', 'one'],
      ['www.example.org', 'one'],
      ['other.example.org', 'two'],
      ['EXAMPLE.com', 'two'],
      ['a.b.example.org', 'one'],
      ['plain.example.net', 'plain.example.net'],
      ['unknown.test', 'one'],
      [undefined, 'one'],
    ])('%s gets %s', async (servername, expected) => {
      expect(await nameFor(program, servername)).toBe(expected);
    });

    test.each([
      ['HTTP/1.1', ask],
      ['HTTP/2', askHttp2],
    ])('over %s the application sees the certificate of the client', async (_name, asking) => {
      const expected = {
        authorized: true,
        error: null,
        name: 'a client',
        x509: 'CN=a client',
        servername: 'example.com',
      };
      expect(await asking(program, { ...client, servername: 'example.com' })).toEqual(expected);
      expect(await asking(program)).toMatchObject({ authorized: false });
      const stranger = new Authority(temporaryDirectory(), 'stranger').sign('other', 'a client');
      const { cert, key } = { cert: readFileSync(stranger.cert), key: readFileSync(stranger.key) };
      expect(await asking(program, { cert, key })).toMatchObject({ authorized: false, name: 'a client' });
    });
  });

  test('a client without a certificate of the authority is refused, which is logged', async () => {
    authority.sign('only', 'only', 'DNS:example.org');
    const program = await served(directory, 'ssl_cert = only.pem\nssl_key = only.key\nssl_client_ca = authority.pem');
    await expect(ask(program)).rejects.toThrow();
    await program.says(/warn: HTTP from 127\.0\.0\.1: it has no certificate/);
    const stranger = new Authority(temporaryDirectory(), 'stranger').sign('other', 'a client');
    await expect(
      ask(program, { cert: readFileSync(stranger.cert), key: readFileSync(stranger.key) }),
    ).rejects.toThrow();
    await program.says(/its certificate is refused: UNABLE_TO_(?:VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT)/);
    expect(await ask(program, client)).toMatchObject({ authorized: true, name: 'a client' });
  });

  test('ten renewals under load with two workers: no handshake fails', { timeout: 120_000 }, async () => {
    const live = join(directory, 'live');
    mkdirSync(live);
    let release = 0;
    /** Like the kubelet: a new directory, and then the link to it changes atomically. */
    const swap = (): string => {
      const { cert, key } = authority.sign(`renewed${++release}`, `release ${release}`, 'DNS:example.org');
      mkdirSync(join(live, `..${release}`));
      copyFileSync(cert, join(live, `..${release}/tls.crt`));
      copyFileSync(key, join(live, `..${release}/tls.key`));
      symlinkSync(`..${release}`, join(live, '..new'));
      renameSync(join(live, '..new'), join(live, '..data'));
      return `release ${release}`;
    };
    /** The files behind the links, one after the other. */
    const write = async (): Promise<string> => {
      const { cert, key } = authority.sign(`renewed${++release}`, `release ${release}`, 'DNS:example.org');
      copyFileSync(cert, join(live, '..data/tls.crt'));
      // Longer than paster waits for files to settle.
      await sleep(400);
      copyFileSync(key, join(live, '..data/tls.key'));
      return `release ${release}`;
    };
    swap();
    symlinkSync('..data/tls.crt', join(live, 'tls.crt'));
    symlinkSync('..data/tls.key', join(live, 'tls.key'));
    const program = await served(directory, 'workers = 2\nssl_cert = live/tls.crt\nssl_key = live/tls.key');
    let answered = 0;
    const failures: unknown[] = [];
    let isOver = false;
    const load = Array.from({ length: 2 }, async () => {
      while (!isOver) {
        await ask(program).then(
          () => answered++,
          (error) => failures.push(error),
        );
        await sleep(20);
      }
    });
    try {
      for (let round = 0; round < 10; round++) {
        const name = round % 3 === 2 ? await write() : swap();
        // Both workers have it, otherwise one of so many connections would get the earlier one.
        await eventually(async () => {
          for (let connection = 0; connection < 8; connection++) if ((await nameFor(program)) !== name) return false;
          return true;
        });
      }
    } finally {
      isOver = true;
      await Promise.all(load);
    }
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(20);
  });

  test('files that stay invalid are reported once, the earlier certificate is kept, and status and check show when it expires', async () => {
    const soon = authority.sign('soon', 'soon', 'DNS:soon.example.org', 5);
    copyFileSync(soon.cert, join(directory, 'used.pem'));
    copyFileSync(soon.key, join(directory, 'used.key'));
    const program = await served(directory, 'ssl_cert = used.pem\nssl_key = used.key');
    const place =
      /x\.ini:6:1: (?:warning: )?\[server:main\] ssl_cert: the certificate of soon\.example\.org in \S+\/used\.pem expires in 4 days, on /;
    await program.says(place);
    const { status, stdout, stderr } = await runHere(['check', 'x.ini'], { cwd: directory });
    expect(status).toBe(0);
    expect(stdout + stderr).toMatch(place);
    const shown = await paster(['status', 'x.ini'], { cwd: directory, env: { XDG_RUNTIME_DIR: directory } }).finished();
    expect(shown.stdout).toMatch(/^certificate of soon\.example\.org expires in 4 days, on \d{4}-\d\d-\d\d$/m);
    rmSync(join(directory, 'used.key'));
    await program.says(
      /warn: TLS: the files cannot be used, and the earlier certificates stay in use: ssl_key: there is no file/,
    );
    expect(await nameFor(program)).toBe('soon');
    const after = authority.sign('after', 'after', 'DNS:soon.example.org');
    copyFileSync(after.cert, join(directory, 'used.pem'));
    copyFileSync(after.key, join(directory, 'used.key'));
    await program.says(/TLS: new certificate of soon\.example\.org from .*used\.pem: it expires in 29 days/);
    expect(await nameFor(program)).toBe('after');
    expect(program.output.match(/stay in use/g)).toHaveLength(1);
  });
});
