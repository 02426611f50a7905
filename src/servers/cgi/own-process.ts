/** The process that a web server has started for one CGI request: its environment and its standard streams. */
import { readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { RunError } from '../../errors.ts';
import type { CgiStreams } from './exchange.ts';

/** Where the answer goes, also when `process.stdout` means something else. */
let answerOutput: Writable | undefined;

/** The web server's streams. */
export function ownStreams(): CgiStreams {
  return { input: () => process.stdin, output: answerOutput ?? process.stdout };
}

/**
 * Keeps standard output for the answer: what the application prints goes to standard error, which is the web server's log.
 * Only what goes by `process.stdout` and `console` is caught; Node cannot redirect descriptor 1 itself, which child
 * processes inherit and native code writes to.
 */
export function reserveOutput(): void {
  answerOutput ??= process.stdout;
  Object.defineProperty(process, 'stdout', { configurable: true, enumerable: true, get: () => process.stderr });
}

/**
 * Takes the header `Proxy` out of this process's environment, where HTTP libraries would take it for the proxy that they
 * are to use (CVE-2016-5385, "httpoxy"). The request keeps it.
 */
export function forgetProxyHeader(): void {
  delete process.env['HTTP_PROXY'];
}

/**
 * The environment that this process was started with, name and value in turn, bytes as latin-1. Linux tells the bytes;
 * elsewhere they are made again from Node's text, which is the same for all that was UTF-8.
 * @throws RunError where there is no request in it.
 */
export function ownEnviron(): string[] {
  const pairs: string[] = [];
  for (const entry of readEnviron().split('\0')) {
    const equals = entry.indexOf('=', 1);
    // paster's own variables, such as its arguments, are not part of the request.
    if (equals !== -1 && !entry.startsWith('PASTER_')) pairs.push(entry.slice(0, equals), entry.slice(equals + 1));
  }
  if (!pairs.some((name, i) => i % 2 === 0 && name === 'REQUEST_METHOD')) {
    throw new RunError('PASTER_NO_REQUEST', 'there is no request in the environment: REQUEST_METHOD is not set', {
      hint: 'a web server starts a CGI program; to try an application, use paster request',
    });
  }
  return pairs;
}

function readEnviron(): string {
  try {
    return readFileSync('/proc/self/environ', 'latin1');
  } catch {
    const entries = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
    return Buffer.from(entries.join('\0')).toString('latin1');
  }
}
