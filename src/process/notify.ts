/**
 * What systemd is told of a service of `Type=notify`: that it listens, reloads, stops, lives. Its protocol is a datagram
 * to a Unix socket, which Node cannot send, so the program `systemd-notify` does it. That is a child of this process:
 * the unit needs `NotifyAccess=all`. See sd_notify(3).
 */
import { spawn } from 'node:child_process';
import type { Logger } from '../log.ts';
import { timerMs } from '../timer.ts';

const VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;
/** A watchdog of less would cost more in processes than it tells. */
const SHORTEST_WATCHDOG_MS = 500;
const SENDING_LIMIT_MS = 5000;

export class SystemdNotify {
  readonly #log: Logger;
  readonly #socket: string | undefined;
  readonly #watchdogMs: number | undefined;
  #last: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** Takes the variables out of `env`: no child of this process is to speak for it. */
  constructor(log: Logger, env: NodeJS.ProcessEnv = process.env) {
    this.#log = log;
    const [socket, microseconds = '', pid] = VARIABLES.map((name) => env[name]);
    for (const name of VARIABLES) delete env[name];
    this.#socket = socket || undefined;
    const isMine = pid === undefined || pid === String(process.pid);
    if (isMine && /^[1-9]\d{0,15}$/.test(microseconds)) this.#watchdogMs = timerMs(Number(microseconds) / 1e6);
  }

  ready(): void {
    void this.#send('READY=1');
    if (this.#timer || this.#watchdogMs === undefined) return;
    // Twice as often as it has to be, as sd_watchdog_enabled(3) advises.
    const interval = Math.max(SHORTEST_WATCHDOG_MS, this.#watchdogMs / 2);
    this.#timer = setInterval(() => void this.#send('WATCHDOG=1'), interval);
    this.#timer.unref();
  }

  /** To be followed by `ready`, whatever came of it. */
  reloading(): void {
    // Type=notify-reload wants to know since when; Node's clock is CLOCK_MONOTONIC.
    void this.#send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  /** Resolves when it is said. */
  stopping(): Promise<void> {
    clearInterval(this.#timer);
    return this.#send('STOPPING=1');
  }

  /** One after the other: the order is the meaning. */
  #send(...words: string[]): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return Promise.resolve();
    this.#last = this.#last.then(() => this.#run(socket, words));
    return this.#last;
  }

  #run(socket: string, words: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      const child = spawn('systemd-notify', words, {
        stdio: 'ignore',
        env: { PATH: process.env['PATH'], NOTIFY_SOCKET: socket },
        timeout: SENDING_LIMIT_MS,
      });
      child.once('error', (error) => {
        this.#log.warn(`systemd is not told ${words[0]}: systemd-notify: ${error.message}`);
        resolve();
      });
      child.once('exit', (status) => {
        if (status !== 0) this.#log.warn(`systemd is not told ${words[0]}: systemd-notify ended with status ${status}`);
        resolve();
      });
    });
  }
}
