/**
 * `handlers.SysLogHandler`: a datagram a record to a syslog server (RFC 3164), a stream of them, or the machine's own
 * `/dev/log`. Node speaks to no Unix datagram socket, so there the program `logger` does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { errorCode, errorMessage, printableLine } from '../errors.ts';
import { CRITICAL, DEBUG, ERROR, INFO, type Level, WARNING } from './levels.ts';

/** RFC 3164 section 4.1.1, and Python's names for it. */
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

/** The number that a syslog line begins with. */
export function priority(facility: number, level: Level): number {
  return (facility << 3) | (SEVERITIES.get(level) ?? WARNING_SEVERITY);
}

export type SyslogAddress = string | { readonly host: string; readonly port: number; readonly isStream: boolean };

/** Lines that are kept until it is known who takes them. */
const MOST_WAITING = 1000;

/** A line with the number that it begins with. */
type Numbered = readonly [code: number, line: string];

/** Sends lines, as long as somebody is there to take them; what nobody takes is lost, as syslog has it. */
export class SyslogClient {
  readonly #address: SyslogAddress;
  #udp: UdpSocket | undefined;
  #stream: Socket | undefined;
  /** Until the stream is connected. */
  #waiting: Numbered[] = [];
  #logger: ChildProcess | undefined;
  #isDatagram = false;
  #isFailing = false;

  constructor(address: SyslogAddress) {
    this.#address = address;
  }

  send(code: number, line: string): void {
    const address = this.#address;
    if (typeof address === 'string') {
      if (this.#isDatagram) this.#throughLogger(address, code, line);
      else this.#throughStream(() => connect(address), code, line);
    } else if (address.isStream) {
      this.#throughStream(() => connect(address.port, address.host), code, line);
    } else {
      this.#udp ??= createSocket(address.host.includes(':') ? 'udp6' : 'udp4').unref();
      this.#udp.send(`<${code}>${line}\0`, address.port, address.host, (error) => error && this.#fail(error));
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

  #throughStream(open: () => Socket, code: number, line: string): void {
    this.#stream ??= this.#attend(open());
    if (!this.#stream.connecting) this.#stream.write(`<${code}>${line}\0`);
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push([code, line]);
  }

  #attend(stream: Socket): Socket {
    const sendWaiting = () => {
      for (const [code, line] of this.#waiting.splice(0)) this.send(code, line);
    };
    stream.unref();
    stream.on('connect', sendWaiting);
    stream.on('error', (error) => {
      // A datagram socket, to which there is another way.
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

  #throughLogger(socket: string, code: number, line: string): void {
    this.#logger ??= this.#startLogger(socket);
    this.#logger.stdin?.write(`<${code}>${line}\n`);
  }

  /** It ends when its input does, so also when this process is killed. */
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
