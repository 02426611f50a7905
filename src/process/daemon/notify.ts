/**
 * Notifies systemd of the state of a service of `Type=notify`: it listens, reloads, stops, is alive. The protocol uses
 * datagrams to a Unix socket, see sd_notify(3). Node cannot make such a socket, but it can write to one: `OpenFile=` of the
 * unit connects it, from systemd 253 on. Otherwise the program `systemd-notify` sends each message. That is a child of
 * this process, so the unit needs `NotifyAccess=all`.
 */
import { spawn } from 'node:child_process';
import { write } from 'node:fs';
import { errorMessage } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { timerMs } from '../../timer.ts';

const VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;
/** With a shorter interval, `systemd-notify` would be started too often. */
const SHORTEST_WATCHDOG_MS = 500;
const SENDING_LIMIT_MS = 5000;

export class SystemdNotify {
  readonly #log: Logger;
  #socket: string | undefined;
  readonly #variables: NodeJS.ProcessEnv;
  /** Connected to the socket. */
  #descriptor: number | undefined;
  readonly #watchdogMs: number | undefined;
  #last: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /**
   * Removes the variables from `env`: no child of this process should notify in its name.
   * @param descriptor one that systemd has connected to its socket
   */
  constructor(log: Logger, descriptor: number | undefined, env: NodeJS.ProcessEnv = process.env) {
    this.#log = log;
    this.#descriptor = descriptor;
    const [socket, microseconds = '', pid] = VARIABLES.map((name) => env[name]);
    for (const name of VARIABLES) delete env[name];
    this.#socket = socket || undefined;
    this.#variables = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds || undefined };
    const isMine = pid === undefined || pid === String(process.pid);
    if (isMine && /^[1-9]\d{0,15}$/.test(microseconds)) this.#watchdogMs = timerMs(Number(microseconds) / 1e6);
  }

  /** The variables that systemd has set for this process, for one that takes over. */
  get variables(): NodeJS.ProcessEnv {
    return this.#variables;
  }

  /** The descriptor that systemd has connected to its socket. */
  get descriptor(): number | undefined {
    return this.#descriptor;
  }

  ready(): void {
    void this.#send('READY=1');
    this.watch();
  }

  /**
   * Tells systemd that another process is the main process from now on. This one sends nothing after that. Resolves when the
   * notification is sent.
   */
  async handOver(pid: number): Promise<void> {
    clearInterval(this.#timer);
    const sent = this.#send(`MAINPID=${pid}`, 'READY=1');
    this.#socket = undefined;
    await sent;
  }

  /** Tells systemd at intervals that this process is alive, if the unit has a watchdog. */
  watch(): void {
    if (this.#timer || this.#watchdogMs === undefined) return;
    // Twice as often as necessary, as sd_watchdog_enabled(3) advises.
    const interval = Math.max(SHORTEST_WATCHDOG_MS, this.#watchdogMs / 2);
    this.#timer = setInterval(() => void this.#send('WATCHDOG=1'), interval);
    this.#timer.unref();
  }

  /** Call `ready` afterwards, whether the reload succeeds or not. */
  reloading(): void {
    // Type=notify-reload needs the time; Node's clock is CLOCK_MONOTONIC.
    void this.#send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  /** Resolves when the notification is sent. */
  stopping(): Promise<void> {
    clearInterval(this.#timer);
    return this.#send('STOPPING=1');
  }

  /** Sends one message after the other, since their order matters. */
  #send(...words: string[]): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return Promise.resolve();
    this.#last = this.#last.then(() =>
      this.#descriptor === undefined ? this.#run(socket, words) : this.#write(this.#descriptor, socket, words),
    );
    return this.#last;
  }

  /** If the message cannot be written to the descriptor, `systemd-notify` is used from then on. */
  #write(descriptor: number, socket: string, words: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      write(descriptor, words.join('\n'), (error) => {
        if (!error) return resolve();
        this.#log.debug(`systemd-notify is used: ${errorMessage(error)}`);
        this.#descriptor = undefined;
        resolve(this.#run(socket, words));
      });
    });
  }

  #run(socket: string, words: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      const child = spawn('systemd-notify', words, {
        stdio: 'ignore',
        env: { PATH: process.env['PATH'], NOTIFY_SOCKET: socket },
        timeout: SENDING_LIMIT_MS,
      });
      child.once('error', (error) => {
        this.#log.warn(`cannot notify systemd of ${words[0]}: systemd-notify: ${error.message}`);
        resolve();
      });
      child.once('exit', (status) => {
        if (status !== 0)
          this.#log.warn(`cannot notify systemd of ${words[0]}: systemd-notify ended with status ${status}`);
        resolve();
      });
    });
  }
}
