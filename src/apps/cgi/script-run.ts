/**
 * Runs a CGI script for one request, as a child process in its own process group: the request's body is its standard input,
 * its standard output becomes the response, and its standard error is logged. No shell, and no arguments.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { basename, dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { errorMessage } from '../../errors.ts';
import { GrowingBuffer } from '../../growing-buffer.ts';
import { sendPlainText } from '../../http/error-response.ts';
import type { Logger } from '../../log.ts';
import { timerMs } from '../../timer.ts';
import { ClientPace } from './client-pace.ts';
import { BadOutput, findHeadEnd, HEAD_END_PART, MAX_HEAD, parseHead, type ScriptHead } from './script-head.ts';

export interface ScriptRunOptions {
  readonly script: string;
  readonly environ: Readonly<Record<string, string>>;
  /** The request whose body the script reads; undefined if the body was read before. */
  readonly body: IncomingMessage | undefined;
  readonly res: ServerResponse;
  /** Seconds that the script may neither read nor write, unless it waits for the client; 0: no limit. */
  readonly timeout: number;
  readonly log: Logger;
}

/** Time between SIGTERM and SIGKILL. */
const STOP_GRACE_MS = 2000;
/**
 * How much of the response is held back until the request's body is read, since nginx stops sending the body once a response
 * has begun, and scripts may begin early (git http-backend does). As much as a pipe holds.
 */
const MAX_HELD = 64 * 1024;

export class ScriptRun {
  /**
   * Settles when the process has ended and its output is read. The value is the path to respond with instead, if the script
   * asked for a local redirect; otherwise the response has ended.
   */
  readonly finished: Promise<string | undefined>;
  #settle: (localRedirect: string | undefined) => void = () => {};
  readonly #options: ScriptRunOptions;
  readonly #child: ChildProcess;
  readonly #timer: NodeJS.Timeout;
  /** The incomplete head. */
  #unread = new GrowingBuffer();
  #head: ScriptHead | undefined;
  #sent = 0;
  #clientIsSlow = false;
  readonly #bodyPace: ClientPace;
  /** The part of the response that is held back; undefined once it is not held back any more. */
  #held: GrowingBuffer | undefined;
  /** The response has ended or is not this script's any more. Further output is discarded. */
  #isResponseDone = false;
  #outputEnded = false;
  #exit: string | undefined;
  #stopped = false;
  #ended = false;

  /** @throws Error if the operating system cannot start the process, such as for too large an environment or lack of memory. */
  constructor(options: ScriptRunOptions) {
    this.#options = options;
    this.finished = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#held = options.body === undefined ? undefined : new GrowingBuffer();
    this.#child = spawn(options.script, [], {
      cwd: dirname(options.script),
      env: options.environ,
      stdio: ['pipe', 'pipe', 'pipe'],
      // A process group of its own, so that what the script starts can be ended with it.
      detached: true,
    });
    this.#timer = setTimeout(() => this.#onTimeout(), timerMs(options.timeout || Number.POSITIVE_INFINITY));
    this.#bodyPace = new ClientPace(options.timeout, () => this.#refuse(408, 'the client does not send its body'));
    const { stdin, stdout, stderr } = this.#child;
    this.#child.once('error', (error) => this.#failToRun(error));
    this.#child.once('exit', (code, signal) => {
      this.#exit = signal === null ? `exit status ${code}` : `signal ${signal}`;
      // If paster stopped it, the reason is logged elsewhere; a client that left is no reason to log.
      if (code !== 0 && !this.#stopped) options.log.warn(`${options.script}: ${this.#exit}`);
      this.#endIfComplete();
    });
    if (stdin) this.#sendBody(stdin);
    stdout?.on('data', (chunk: Buffer) => this.#onOutput(chunk)).on('error', () => {});
    stdout?.once('close', () => {
      this.#outputEnded = true;
      this.#endIfComplete();
    });
    if (stderr) logLines(stderr, (line) => options.log.warn(`${options.script}: ${line}`));
    options.res.once('close', this.#clientLeft);
  }

  /** Ends the script and the processes that it has started, first with SIGTERM. */
  stop(): void {
    if (this.#stopped || this.#ended) return;
    this.#stopped = true;
    // Unread output would keep the stream from ending.
    this.#child.stdout?.resume();
    this.#signal('SIGTERM');
    setTimeout(() => {
      this.#signal('SIGKILL');
      // A process that has left the group may keep the output open.
      this.#child.stdout?.destroy();
    }, STOP_GRACE_MS).unref();
  }

  /** The group's id is not reused while a process of the group exists. */
  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (this.#ended || pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The group has ended.
    }
  }

  // --- the request's body --------------------------------------------------------------------------------------------

  #sendBody(stdin: Writable): void {
    const { body } = this.#options;
    stdin.on('drain', () => {
      this.#timer.refresh();
      if (body?.readableEnded === false) this.#bodyPace.wait();
    });
    if (body === undefined) {
      stdin.on('error', () => {});
      stdin.end();
      return;
    }
    stdin.on('error', () => {
      this.#bodyPace.stop();
      // The script may stop reading. The rest is discarded, because a client may send it all before it reads the response.
      body.unpipe(stdin);
      body.resume();
    });
    body.on('error', () => this.stop());
    body.once('end', () => {
      this.#bodyPace.stop();
      this.#sendHeld();
    });
    body.pipe(stdin);
    body.on('data', (bytes: Buffer) => {
      this.#timer.refresh();
      this.#bodyPace.bytes += bytes.length;
      if (stdin.writableNeedDrain) this.#bodyPace.stop();
    });
    this.#bodyPace.wait();
  }

  // --- the script's output -------------------------------------------------------------------------------------------

  #onOutput(chunk: Buffer): void {
    this.#timer.refresh();
    if (this.#isResponseDone) return;
    if (this.#head !== undefined) {
      this.#write(chunk);
      return;
    }
    const searched = Math.max(0, this.#unread.length - HEAD_END_PART);
    this.#unread.push(chunk);
    const unread = this.#unread.view();
    const end = findHeadEnd(unread, searched);
    if ((end?.head ?? unread.length) > MAX_HEAD) {
      this.#refuse(502, `its output does not begin with a head of at most ${MAX_HEAD} bytes`);
      return;
    }
    if (end === undefined) return;
    try {
      const text = unread.toString('latin1', 0, end.head).replace(/\r$/, '');
      this.#head = parseHead(text, basename(this.#options.script).startsWith('nph-'));
      this.#sendHead(this.#head, unread.subarray(end.body));
    } catch (error) {
      this.#refuse(502, error instanceof BadOutput ? `its output begins with ${error.message}` : errorMessage(error));
    }
  }

  #sendHead(head: ScriptHead, body: Buffer): void {
    this.#unread = new GrowingBuffer();
    if (head.localRedirect !== undefined) {
      this.#isResponseDone = true;
      return;
    }
    const { res } = this.#options;
    if (head.reason !== undefined) res.statusMessage = head.reason;
    for (let i = 0; i < head.headers.length; i += 2) {
      res.appendHeader(head.headers[i] as string, head.headers[i + 1] as string);
    }
    res.writeHead(head.status);
    if (body.length > 0) this.#write(body);
    else if (this.#held === undefined) res.flushHeaders();
  }

  #write(chunk: Buffer): void {
    const { res, script, log } = this.#options;
    const left = (this.#head?.contentLength ?? Number.POSITIVE_INFINITY) - this.#sent;
    const bytes = chunk.length > left ? chunk.subarray(0, left) : chunk;
    this.#sent += bytes.length;
    if (chunk.length > left) {
      // The client would read the rest as another response on this connection.
      log.warn(`${script}: its output is longer than its Content-Length; the rest is not sent`);
      this.#sendHeld();
      this.#isResponseDone = true;
      res.end(bytes);
      this.stop();
      return;
    }
    this.#send(bytes);
  }

  #send(bytes: Buffer): void {
    if (this.#held !== undefined) {
      this.#held.push(bytes);
      if (this.#held.length > MAX_HELD) this.#sendHeld();
      return;
    }
    const { res } = this.#options;
    const { stdout } = this.#child;
    if (res.write(bytes)) return;
    this.#clientIsSlow = true;
    stdout?.pause();
    res.once('drain', () => {
      this.#clientIsSlow = false;
      this.#timer.refresh();
      stdout?.resume();
    });
  }

  #sendHeld(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined || this.#head === undefined || this.#isResponseDone) return;
    if (held.length === 0) this.#options.res.flushHeaders();
    else this.#send(held.view());
  }

  // --- the ends ------------------------------------------------------------------------------------------------------

  /** Does not wait for the end of standard error: a process that the script leaves behind may keep it open. */
  #endIfComplete(): void {
    if (this.#exit === undefined || !this.#outputEnded || this.#ended) return;
    this.#cleanUp();
    if (!this.#isResponseDone) this.#endResponse(this.#exit);
    this.#settle(this.#head?.localRedirect);
  }

  #endResponse(exit: string): void {
    const { res, script, log } = this.#options;
    this.#sendHeld();
    this.#isResponseDone = true;
    if (this.#head === undefined) {
      const what = this.#unread.length === 0 ? 'no output' : 'output without the empty line after its head';
      log.error(`${script}: ${what} (${exit})`);
      sendPlainText(res, 502);
      return;
    }
    const { contentLength } = this.#head;
    const hasBody = this.#options.res.req.method !== 'HEAD' && ![204, 304].includes(this.#head.status);
    const isShort = hasBody && contentLength !== undefined && this.#sent < contentLength;
    if (isShort) log.error(`${script}: ${this.#sent} bytes, and a Content-Length of ${contentLength}`);
    // An incomplete response must not look complete.
    if (isShort || exit.startsWith('signal')) res.destroy();
    else res.end();
  }

  #failToRun(error: Error): void {
    if (this.#ended) return;
    this.#refuse(500, `it cannot be run: ${errorMessage(error)}`);
    this.#cleanUp();
    this.#settle(undefined);
  }

  #cleanUp(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#bodyPace.stop();
    this.#options.res.off('close', this.#clientLeft);
  }

  #onTimeout(): void {
    const { body } = this.#options;
    const { stdin } = this.#child;
    const awaitsBody = body !== undefined && !body.readableEnded && stdin?.writableNeedDrain === false;
    if (!this.#isResponseDone && (this.#clientIsSlow || awaitsBody)) {
      // The client is slow: ClientPace bounds the body, the server's send_timeout the response.
      this.#timer.refresh();
      return;
    }
    this.#refuse(504, `no output for ${this.#options.timeout} s`);
    this.stop();
  }

  readonly #clientLeft = (): void => {
    if (this.#options.res.writableFinished) return;
    this.#isResponseDone = true;
    this.stop();
  };

  #refuse(status: number, reason: string): void {
    const { res, script, log } = this.#options;
    log.error(`${script}: ${reason}`);
    if (!this.#isResponseDone) {
      this.#isResponseDone = true;
      // On a kept connection the rest of the body would have to be read before the next request.
      if (status === 408) res.shouldKeepAlive = false;
      if (res.headersSent) res.destroy();
      else sendPlainText(res, status);
    }
    this.stop();
  }
}

const MAX_LINE = 4096;

/** Logs the text of a stream line by line. A longer line is cut. */
function logLines(stream: Readable, log: (line: string) => void): void {
  let partial = '';
  stream.setEncoding('utf8').on('error', () => {});
  stream.on('data', (text: string) => {
    const lines = text.split('\n');
    lines[0] = partial + lines[0];
    partial = lines.pop() ?? '';
    for (; partial.length > MAX_LINE; partial = partial.slice(MAX_LINE)) lines.push(partial.slice(0, MAX_LINE));
    for (const line of lines) log(line.replace(/\r$/, ''));
  });
  stream.once('end', () => {
    if (partial !== '') log(partial);
  });
}
