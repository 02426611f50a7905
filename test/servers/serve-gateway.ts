/** A server of a gateway protocol for a test, on its own Unix socket or TCP port, with its log recorded. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lineLogger } from '../../src/log.ts';
import { openListener } from '../../src/net/listener.ts';
import type { App, Running, Server } from '../../src/protocol/types.ts';

interface Client {
  close(): void;
}

export interface Served<C extends Client> {
  /** The path of the Unix socket. */
  readonly path: string;
  readonly running: Running;
  readonly log: string[];
  client(): Promise<C>;
  close(): Promise<void>;
}

/** With this option, the server uses a given `net.Server`; without it, a listener of paster. */
export interface ListenerOptions {
  readonly allowHalfOpen?: boolean | undefined;
}

export async function serveGateway<C extends Client>(
  server: Server,
  app: App,
  connect: (to: string | number) => Promise<C>,
  { unix, allowHalfOpen }: ListenerOptions & { readonly unix: boolean },
): Promise<Served<C>> {
  const directory = mkdtempSync(join(tmpdir(), 'paster-gateway-'));
  const path = join(directory, 's');
  const listener = allowHalfOpen === undefined ? await ownListener(unix, path) : createServer({ allowHalfOpen });
  if (!listener.listening) await new Promise<void>((resolve) => listen(listener, unix, path, resolve));
  const to = unix ? path : (listener.address() as AddressInfo).port;
  const log: string[] = [];
  const running = await server.serve(app, [listener], {
    log: lineLogger('debug', (line, level) => log.push(`${level}: ${line}`)),
  });
  const clients: C[] = [];
  return {
    path,
    running,
    log,
    async client() {
      const client = await connect(to);
      clients.push(client);
      return client;
    },
    async close() {
      for (const client of clients) client.close();
      await running.close({ graceful: false });
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function ownListener(unix: boolean, path: string): Promise<NetServer> {
  const { server } = await openListener(unix ? { kind: 'unix', path } : { kind: 'tcp', host: '127.0.0.1', port: 0 });
  return server;
}

function listen(listener: NetServer, unix: boolean, path: string, done: () => void): void {
  if (unix) listener.listen(path, done);
  else listener.listen(0, '127.0.0.1', done);
}

/** The settings that a factory gets for those of an INI section. @throws Error with all problems. */
export function settingsOf<T>(
  { settings }: { readonly settings: { readonly '~standard': { validate(value: unknown): Validated<T> } } },
  written: Record<string, string>,
): T {
  const result = settings['~standard'].validate(written);
  if ('issues' in result) throw new Error(result.issues.map((issue) => issue.message).join('; '));
  return result.value;
}

type Validated<T> = { readonly value: T } | { readonly issues: readonly { readonly message: string }[] };
