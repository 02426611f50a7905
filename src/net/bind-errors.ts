/** Messages for errors of opening a socket, with what to do about them. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode, errorMessage, PasterError, RunError } from '../errors.ts';
import { type Address, formatAddress } from './address.ts';

/** The error to report for what `bind`, `listen` or a name lookup threw. paster's own errors are returned as they are. */
export function bindError(cause: unknown, address: Address): PasterError {
  if (cause instanceof PasterError) return cause;
  const code = errorCode(cause) ?? '';
  const { message, hint } = explain(code, address) ?? {
    message: `cannot listen on ${formatAddress(address)}: ${errorMessage(cause)}`,
  };
  return new RunError(`PASTER_LISTEN_${code || 'FAILED'}`, message, { hint, cause, setting: settingOf(code, address) });
}

/** What hints name at the start of one server, and the setting of its section for all other cases. */
const OPTIONS = [
  [/-p (?=\d)/, 'port = '],
  [/--socket (?=PATH)/, 'socket = '],
] as const;

/**
 * The error with settings in its hint instead of options: a reload takes no options, and with several servers an option does not say which
 * one it is for.
 */
export function withoutOptions(error: unknown): unknown {
  if (!(error instanceof RunError) || error.hint === undefined) return error;
  const hint = OPTIONS.reduce((text, [option, setting]) => text.replace(option, setting), error.hint);
  if (hint === error.hint) return error;
  const { code, message, setting, cause, location, section } = error;
  return Object.assign(new RunError(code, message, { hint, setting, cause, location }), { section });
}

/** The setting of a server's section that the error is about. */
function settingOf(code: string, { kind }: Address): string | undefined {
  if (kind !== 'tcp') return kind === 'unix' ? 'socket' : undefined;
  return code === 'EADDRINUSE' || code === 'EACCES' ? 'port' : 'host';
}

interface Explanation {
  readonly message: string;
  readonly hint?: string;
}

function explain(code: string, address: Address): Explanation | undefined {
  switch (address.kind) {
    case 'tcp':
      return explainTcp(code, address.host, address.port);
    case 'unix':
      return explainUnix(code, address.path);
    case 'fd':
      return {
        message: `descriptor ${address.fd} is not a listening socket`,
        hint: 'it has to be opened by what starts this process: a web server, systemd, inetd',
      };
  }
}

function explainTcp(code: string, host: string, port: number): Explanation | undefined {
  switch (code) {
    case 'EADDRINUSE':
      return {
        message: `port ${port} on ${host} is in use by another program`,
        hint: `stop that one, or listen elsewhere: -p ${port < 65535 ? port + 1 : port - 1}`,
      };
    case 'EACCES':
      return {
        message: `no permission to listen on port ${port} of ${host}`,
        hint:
          port < 1024
            ? 'ports below 1024 need root: start as root with --user, or take a higher one: -p 8080'
            : 'take another port: -p 8080',
      };
    case 'EADDRNOTAVAIL':
      return {
        message: `${host} is not an address of this machine`,
        hint: 'use 127.0.0.1 for this machine alone, 0.0.0.0 for every address it has',
      };
    case 'EAFNOSUPPORT':
      return { message: `this machine cannot listen on ${host}: addresses of this kind are disabled` };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_NODATA':
      return { message: `the host name ${host} is unknown`, hint: 'give an address such as 127.0.0.1' };
    default:
      return undefined;
  }
}

function explainUnix(code: string, path: string): Explanation | undefined {
  const directory = dirname(path);
  // libuv reports EACCES for a directory that does not exist.
  switch (code === 'EACCES' && !existsSync(directory) ? 'ENOENT' : code) {
    case 'ENOENT':
      return { message: `directory ${directory} does not exist`, hint: `create it: mkdir -p ${directory}` };
    case 'ENOTDIR':
      return { message: `${directory} is not a directory` };
    case 'EACCES':
    case 'EPERM':
      return {
        message: `no permission to create ${path}`,
        hint: `the directory ${directory} has to be writable for the user that starts the server`,
      };
    case 'EROFS':
      return { message: `cannot create ${path}: the file system is read-only` };
    default:
      return undefined;
  }
}
