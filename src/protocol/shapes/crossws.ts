/**
 * WebSockets that an application describes for crossws: hooks (`open`, `message`, `close`). The package is the application's own,
 * found from the working directory.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { workingDirectory } from '../../working-directory.ts';

export type WebSocketHooks = object;

/** What crossws' adapter takes: hooks, or a function that finds them for a request. */
export interface WebSocketOptions {
  readonly hooks?: WebSocketHooks;
  readonly resolve?: unknown;
}

interface NodeAdapter {
  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<unknown>;
}

const adapters = new WeakMap<object, Promise<NodeAdapter | undefined>>();

/** @returns false if crossws is not installed; nothing has been written then. */
export async function acceptWebSocket(
  options: WebSocketOptions,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<boolean> {
  const key = options.hooks ?? options;
  const known = adapters.get(key) ?? makeAdapter(options);
  adapters.set(key, known);
  const adapter = await known;
  await adapter?.handleUpgrade(req, socket, head);
  return adapter !== undefined;
}

async function makeAdapter(options: WebSocketOptions): Promise<NodeAdapter | undefined> {
  const { resolve } = await import('import-meta-resolve');
  let url: string;
  try {
    url = resolve('crossws/adapters/node', pathToFileURL(`${workingDirectory()}/noop.js`).href);
  } catch {
    return undefined;
  }
  const { default: adapter } = (await import(url)) as { default(options: WebSocketOptions): NodeAdapter };
  return adapter(options);
}
