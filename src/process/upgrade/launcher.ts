/**
 * The process that was started in the foreground. A shell, a container or a service manager waits for it, so it stays when other
 * processes have taken over from it: it passes signals on to the one that serves, and ends as that one ends.
 *
 * All processes that take over one after the other inherit the same end of a pipe. Whatever happens to them, the kernel
 * closes the pipe with the last one.
 */
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { EXIT_FAILURE } from '../../errors.ts';
import { LineReader, lineOf, readLine } from '../ipc/lines.ts';
import { arrivingSignals, type Signal } from '../program/signals.ts';

/** A line on the pipe: which process serves, or the status with which it ends. */
interface LauncherLine {
  readonly pid?: number;
  readonly status?: number;
}

const LONGEST_LINE = 1000;

/** The pipe's end in the process that was started in the foreground. */
export class Launcher {
  /** Resolves with the status of the last server. */
  readonly ended: Promise<number>;
  #pid: number;

  /** @param pid the process that serves next */
  constructor(pipe: Socket, pid: number) {
    this.#pid = pid;
    // A server that is killed sends none.
    let lastStatus = EXIT_FAILURE;
    new LineReader(pipe, LONGEST_LINE).onLine = (line) => {
      const { pid: next = this.#pid, status = lastStatus } = readLine<LauncherLine>(line) ?? {};
      this.#pid = next;
      lastStatus = status;
    };
    this.ended = new Promise((resolve) => {
      pipe.once('close', () => resolve(lastStatus));
    });
  }

  /** Sends a signal to the process that serves. */
  forward(signal: Signal): void {
    try {
      process.kill(this.#pid, signal);
    } catch {
      // It has ended, which the pipe shows.
    }
  }

  /** Forwards signals until the last server has ended. @returns its status */
  async stay(): Promise<number> {
    const forwarding = async () => {
      for await (const signal of arrivingSignals()) this.forward(signal);
    };
    return (await Promise.race([this.ended, forwarding()])) ?? EXIT_FAILURE;
  }
}

/** The pipe's end in a process that serves instead of the one that was started in the foreground. */
export class LauncherPipe {
  readonly fd: number;
  #isMine = true;

  /** From now on this process ends gracefully if the other one is gone. */
  constructor(fd: number) {
    this.fd = fd;
    const socket = new Socket({ fd });
    socket.on('error', () => {});
    socket.once('close', () => this.#isMine && process.kill(process.pid, 'SIGTERM'));
    socket.resume();
    socket.unref();
    process.once('exit', (status) => this.#write({ status }));
  }

  /** Makes this process the one that gets the signals. */
  take(): void {
    this.#write({ pid: process.pid });
  }

  /** Another process has taken over from this one. */
  leave(): void {
    this.#isMine = false;
  }

  #write(line: LauncherLine): void {
    try {
      if (this.#isMine) writeSync(this.fd, lineOf(line));
    } catch {
      // The other process is gone.
    }
  }
}
