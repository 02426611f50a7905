/**
 * `handlers.SysLogHandler`: sends each record to a syslog server (RFC 3164) in a datagram or on a stream, or to the machine's
 * own `/dev/log`. Node cannot use Unix datagram sockets, so the program `logger` does it there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { errorCode, errorMessage } from '../../errors.ts';
import { printableLine } from '../../printable.ts';
import { CRITICAL, DEBUG, ERROR, INFO, type Level, WARNING } from '../python/record.ts';

/** The facilities of RFC 3164 section 4.1.1, by Python's names. */
export const FACILITIES: ReadonlyMap<string, number> = new Map(
  Object.entries({
    kern: 0,
    user: 1,
    mail: 2,
    daemon: 3,
    auth: 4,
    security: 4,
    syslog: 5,
    lpr: 6,
    news: 7,
    uucp: 8,
    cron: 9,
    authpriv: 10,
    ftp: 11,
    ntp: 12,
    console: 14,
    local0: 16,
    local1: 17,
    local2: 18,
    local3: 19,
    local4: 20,
    local5: 21,
    local6: 22,
    local7: 23,
  }),
);

const WARNING_SEVERITY = 4;
const SEVERITIES: ReadonlyMap<Level, number> = new Map([
  [DEBUG, 7],
  [INFO, 6],
  [WARNING, WARNING_SEVERITY],
  [ERROR, 3],
  [CRITICAL, 2],
]);

/** The number in front of a syslog line. */
export function priority(facility: number, level: Level): number {
  return (facility << 3) | (SEVERITIES.get(level) ?? WARNING_SEVERITY);
}

export type SyslogAddress = string | { readonly host: string; readonly port: number; readonly isStream: boolean };

/** The most lines that are kept until the stream is connected. */
const MAX_WAITING = 1000;

/** A line and the number in front of it. */
type PrioritizedLine = readonly [prio: number, line: string];

/** Sends lines to a syslog server. As usual with syslog, lines are lost while no server takes them. */
export class SyslogClient {
  readonly #address: SyslogAddress;
  #udp: UdpSocket | undefined;
  #stream: Socket | undefined;
  /** The lines that wait until the stream is connected. */
  #waiting: PrioritizedLine[] = [];
  #logger: ChildProcess | undefined;
  #isDatagram = false;
  #isFailing = false;

  constructor(address: SyslogAddress) {
    this.#address = address;
  }

  send(prio: number, line: string): void {
    const address = this.#address;
    if (typeof address === 'string') {
      if (this.#isDatagram) this.#throughLogger(address, prio, line);
      else this.#throughStream(() => connect(address), prio, line);
    } else if (address.isStream) {
      this.#throughStream(() => connect(address.port, address.host), prio, line);
    } else {
      this.#udp ??= createSocket(address.host.includes(':') ? 'udp6' : 'udp4').unref();
      this.#udp.send(`<${prio}>${line}\0`, address.port, address.host, (error) => error && this.#fail(error));
    }
  }

  close(): void {
    this.#udp?.close();
    this.#stream?.end();
    this.#logger?.stdin?.end();
    this.#udp = undefined;
    this.#stream = undefined;
    this.#logger = undefined;
  }

  #throughStream(open: () => Socket, prio: number, line: string): void {
    this.#stream ??= this.#prepared(open());
    if (!this.#stream.connecting) this.#stream.write(`<${prio}>${line}\0`);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push([prio, line]);
  }

  #prepared(stream: Socket): Socket {
    const sendWaiting = () => {
      for (const [prio, line] of this.#waiting.splice(0)) this.send(prio, line);
    };
    stream.unref();
    stream.on('connect', sendWaiting);
    stream.on('error', (error) => {
      // It is a datagram socket, which `logger` can use.
      this.#isDatagram = errorCode(error) === 'EPROTOTYPE';
      if (!this.#isDatagram) this.#fail(error);
    });
    stream.on('close', () => {
      if (this.#stream === stream) this.#stream = undefined;
      if (this.#isDatagram) sendWaiting();
      else this.#waiting = [];
    });
    return stream;
  }

  #throughLogger(socket: string, prio: number, line: string): void {
    this.#logger ??= this.#startLogger(socket);
    this.#logger.stdin?.write(`<${prio}>${line}\n`);
  }

  /** The child ends when its input does, which also happens when this process is killed. */
  #startLogger(socket: string): ChildProcess {
    const child = spawn('logger', ['--socket', socket, '--prio-prefix', '--tag', 'paster'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    child.unref();
    child.on('error', (error) => this.#fail(error));
    child.on('exit', () => {
      if (this.#logger === child) this.#logger = undefined;
    });
    child.stdin?.on('error', (error) => this.#fail(error));
    return child;
  }

  #fail(error: unknown): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    const address = this.#address;
    const where = typeof address === 'string' ? address : `${address.host}:${address.port}`;
    process.stderr.write(`${printableLine(`paster: cannot write to syslog at ${where}: ${errorMessage(error)}`)}\n`);
  }
}
