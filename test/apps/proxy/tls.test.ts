/** Proxies that connect over TLS: whose certificates they accept. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { makeCertificate } from '../../helpers/web-servers/certificate.ts';
import { echoHead, type Head, sendBytes, startServer } from './upstream.ts';

describe('a proxy over TLS', () => {
  /** Starts a server with a certificate for 127.0.0.1, which also upgrades, and a proxy that trusts it or not. */
  async function startProxy(part: (host: string) => string, trusts: boolean): Promise<string> {
    const directory = temporaryDirectory({});
    const certificate = makeCertificate(directory);
    const server = createServer({ key: readFileSync(certificate.key), cert: readFileSync(certificate.cert) }, echoHead);
    server.on('upgrade', (_req, socket: Duplex) => {
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello');
    });
    await startServer(server, { port: 0, host: '127.0.0.1' });
    const { port } = server.address() as AddressInfo;
    writeFileSync(
      join(directory, 'x.ini'),
      `[app:main]\nuse = npm:paster#${part(`127.0.0.1:${port}`)}\n[server:main]\nuse = npm:paster#http\nport = 0\n`,
    );
    const env = trusts ? { NODE_EXTRA_CA_CERTS: certificate.cert } : {};
    return (await serve(['x.ini'], { cwd: directory, env })).url;
  }

  test('responds 502 if an unknown authority has signed the certificate', async () => {
    const url = await startProxy((host) => `proxy\naddress = https://${host}`, false);
    expect((await ask(url, '/')).status).toBe(502);
  });

  test('requires the certificate of the address, whatever host the client names', async () => {
    const url = await startProxy((host) => `transparent_proxy\nforce_scheme = https\nforce_host = ${host}`, true);
    const reply = await ask(url, '/', { headers: { Host: 'any.example' } });
    expect(reply.status).toBe(200);
    expect((JSON.parse(reply.body.toString()) as Head).headers['host']).toBe('any.example');
    const upgraded = await sendBytes(
      url,
      'GET / HTTP/1.1\r\nHost: any.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    expect(upgraded).toMatch(/^HTTP\/1\.1 101 [\s\S]*hello$/);
  });
});
