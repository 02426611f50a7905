/**
 * `--inspect`: Node's inspector in one process. With workers, this is the first worker. Its successor opens the port when the first
 * worker has closed it.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage, RunError, UsageError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { formatAddress, isLoopback, parseAddress, type TcpAddress } from '../net/address.ts';

const STANDARD: TcpAddress = { kind: 'tcp', host: '127.0.0.1', port: 9229 };

const POLL_MS = 100;

/**
 * Reads the option's value: `HOST:PORT`, `PORT`, or nothing for 127.0.0.1:9229.
 * @throws UsageError for anything else, and for an address that others can reach.
 */
export function inspectorAddress(text: string): TcpAddress {
  const address = text === '' ? STANDARD : parseAddress(/^\d+$/.test(text) ? `${STANDARD.host}:${text}` : text);
  if (address?.kind !== 'tcp') {
    throw new UsageError('PASTER_USAGE', `--inspect: "${text}" is not an address`, {
      hint: 'write --inspect=PORT or --inspect=HOST:PORT',
    });
  }
  if (isLoopback(address.host)) return address;
  throw new UsageError(
    'PASTER_USAGE',
    `--inspect: anyone who can reach ${formatAddress(address)} could run any code here`,
    {
      hint: 'listen on 127.0.0.1, and connect from another machine through ssh -L 9229:127.0.0.1:9229 HOST',
    },
  );
}

/** @throws RunError when another process listens there. */
export async function refuseTaken(address: TcpAddress): Promise<void> {
  const reason = await reasonNotToListen(address);
  if (reason === undefined) return;
  throw new RunError('PASTER_INSPECT', `--inspect: cannot listen on ${formatAddress(address)}: ${reason}`, {
    hint: 'another port: --inspect=9230',
  });
}

/** Opens the inspector of this process, unless it is open. @throws RunError when another process listens there. */
export async function openInspector(address: TcpAddress, log: Logger): Promise<void> {
  const inspector = await import('node:inspector');
  if (isOpen(inspector, address, log)) return;
  await refuseTaken(address);
  open(inspector, address, log);
}

/**
 * Opens the inspector of this worker as soon as the port is free, and closes it when the worker is stopped. Resolves after
 * the first attempt, so that loading the application can be debugged. An inspector that is open already stays open.
 */
export async function takeInspector(address: TcpAddress, stopped: AbortSignal, log: Logger): Promise<void> {
  const inspector = await import('node:inspector');
  const attempt = async () => {
    if (isOpen(inspector, address, log)) return true;
    if ((await reasonNotToListen(address)) !== undefined || stopped.aborted) return false;
    const isOurs = open(inspector, address, log);
    if (isOurs) stopped.addEventListener('abort', () => inspector.close());
    return isOurs;
  };
  if (await attempt()) return;
  const poll = async () => {
    do await sleep(POLL_MS, undefined, { ref: false });
    while (!stopped.aborted && !(await attempt()));
  };
  poll().catch((error) => log.error(`--inspect: ${errorMessage(error)}`));
}

type Inspector = typeof import('node:inspector');

/** Whether it is open already: by Node itself, by an editor that preloads its own code, or by the application. */
function isOpen(inspector: Inspector, wanted: TcpAddress, log: Logger): boolean {
  const url = inspector.url();
  if (url === undefined) return false;
  const { host } = new URL(url);
  log.warn(
    `process ${process.pid} already lets a debugger attach on ${host}, because of NODE_OPTIONS or its own code, and not on ${formatAddress(wanted)}`,
  );
  return true;
}

/** Returns false if another process has just taken the port, which Node reports itself. */
function open(inspector: Inspector, { host, port }: TcpAddress, log: Logger): boolean {
  inspector.open(port, host);
  const url = inspector.url();
  if (url === undefined) return false;
  const { host: place } = new URL(url);
  // Node would wait until the debugger disconnects before it ends the process.
  process.once('exit', () => inspector.close());
  log.info(`process ${process.pid} can be debugged on ${place}: chrome://inspect, or node inspect ${place}`);
  return true;
}

/** Why the port cannot be opened. Node itself would print that at each attempt, and continue without. */
async function reasonNotToListen({ host, port }: TcpAddress): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    return errorMessage(error);
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
