/**
 * `--inspect`: Node's inspector in the one process that a debugger is to find. With workers that is the first of them, or
 * its successor, which gets the port when its predecessor lets go of it.
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
  throw new UsageError('PASTER_USAGE', `--inspect: whoever reached ${formatAddress(address)} could run any code here`, {
    hint: 'listen on 127.0.0.1, and come from elsewhere by ssh -L 9229:127.0.0.1:9229 HOST',
  });
}

/** @throws RunError when somebody else listens there. */
export async function refuseTaken(address: TcpAddress): Promise<void> {
  const reason = await reasonNotToListen(address);
  if (reason === undefined) return;
  throw new RunError('PASTER_INSPECT', `--inspect: cannot listen on ${formatAddress(address)}: ${reason}`, {
    hint: 'another port: --inspect=9230',
  });
}

/** Opens the inspector of this process. @throws RunError when somebody else listens there. */
export async function openInspector(address: TcpAddress, log: Logger): Promise<void> {
  await refuseTaken(address);
  await open(address, log);
}

/**
 * Opens the inspector of this worker as soon as the port is free, and closes it when the worker is told to end. Resolves
 * after the first attempt: at the first start the code that is loaded then can be debugged.
 */
export async function takeInspector(address: TcpAddress, stopped: AbortSignal, log: Logger): Promise<void> {
  stopped.addEventListener('abort', () => void import('node:inspector').then((inspector) => inspector.close()));
  if (await openIfFree(address, stopped, log)) return;
  void (async () => {
    do await sleep(POLL_MS, undefined, { ref: false });
    while (!stopped.aborted && !(await openIfFree(address, stopped, log)));
  })();
}

async function openIfFree(address: TcpAddress, stopped: AbortSignal, log: Logger): Promise<boolean> {
  if ((await reasonNotToListen(address)) !== undefined || stopped.aborted) return false;
  return open(address, log);
}

async function open({ host, port }: TcpAddress, log: Logger): Promise<boolean> {
  // Only now: it is loaded for nobody else. Taken in this very moment, the port is taken, which Node says by itself.
  const inspector = await import('node:inspector');
  inspector.open(port, host);
  const url = inspector.url();
  if (url === undefined) return false;
  const { host: place } = new URL(url);
  log.info(`process ${process.pid} can be debugged on ${place}: chrome://inspect, or node inspect ${place}`);
  return true;
}

/** Node would say it on standard error, at each attempt, and go on without. */
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
