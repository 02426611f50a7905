/**
 * One run of a CGI script: a child process in a process group of its own, its standard input from the request, its
 * standard output to the response, its standard error to the log. Knows nothing of URLs; never uses a shell, and never gives
 * the script arguments.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { basename, dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { errorMessage } from '../../errors.ts';
import { GrowingBuffer } from '../../growing-buffer.ts';
import { answerPlain } from '../../http/plain-answer.ts';
import type { Logger } from '../../log.ts';
import { timerMs } from '../../timer.ts';
import { ClientPace } from './client-pace.ts';
import { logLines } from './log-lines.ts';
import { BadOutput, findHeadEnd, HEAD_END_PART, MAX_HEAD, parseHead, type ScriptHead } from './script-head.ts';

export interface ScriptCall {
  readonly script: string;
  readonly environ: Readonly<Record<string, string>>;
  /** Where the request's body is still to be had. */
  readonly body: IncomingMessage | undefined;
  readonly res: ServerResponse;
  /** Seconds that the script may neither read nor write while nobody but itself is waited for; 0: as long as it likes. */
  readonly timeout: number;
  readonly log: Logger;
}

/** So long a script may take to end when it is told to, before it is killed. */
const PATIENCE_MS = 2000;
/**
 * So much of the answer waits until the request's body is read: nginx sends no more of the body once an answer has begun,
 * and scripts begin theirs early (git http-backend does). As much as a pipe holds.
 */
const MAX_HELD = 64 * 1024;

export class ScriptRun {
  /**
   * Settles when the process has ended and its output is read: with the path to answer with in place of this, if the
   * script has asked for one. The response is ended otherwise.
   */
  readonly finished: Promise<string | undefined>;
  #settle: (localRedirect: string | undefined) => void = () => {};
  readonly #call: ScriptCall;
  readonly #child: ChildProcess;
  readonly #timer: NodeJS.Timeout;
  /** What has come of the head. */
  #unread = new GrowingBuffer();
  #head: ScriptHead | undefined;
  #sent = 0;
  #clientIsSlow = false;
  readonly #sending: ClientPace;
  /** Undefined: nothing is held back. */
  #held: GrowingBuffer | undefined;
  /** The response is out, or is not this script's any more: what it still writes is thrown away. */
  #answered = false;
  #outputEnded = false;
  #exit: string | undefined;
  #stopped = false;
  #ended = false;

  /** @throws Error where the operating system cannot start any process like this: too large an environment, no memory. */
  constructor(call: ScriptCall) {
    this.#call = call;
    this.finished = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#held = call.body === undefined ? undefined : new GrowingBuffer();
    this.#child = spawn(call.script, [], {
      cwd: dirname(call.script),
      env: call.environ,
      stdio: ['pipe', 'pipe', 'pipe'],
      // A process group of its own, so that what the script starts can be ended with it.
      detached: true,
    });
    this.#timer = setTimeout(() => this.#late(), timerMs(call.timeout || Number.POSITIVE_INFINITY));
    this.#sending = new ClientPace(call.timeout, () => this.#refuse(408, 'the client does not send its body'));
    const { stdin, stdout, stderr } = this.#child;
    this.#child.once('error', (error) => this.#notRun(error));
    this.#child.once('exit', (code, signal) => {
      this.#exit = signal === null ? `exit status ${code}` : `signal ${signal}`;
      // Why it was ended has been said, if that is worth a line: a client may leave when it likes.
      if (code !== 0 && !this.#stopped) call.log.warn(`${call.script}: ${this.#exit}`);
      this.#maybeEnd();
    });
    if (stdin) this.#feed(stdin);
    stdout?.on('data', (chunk: Buffer) => this.#output(chunk)).on('error', () => {});
    stdout?.once('close', () => {
      this.#outputEnded = true;
      this.#maybeEnd();
    });
    if (stderr) logLines(stderr, (line) => call.log.warn(`${call.script}: ${line}`));
    call.res.once('close', this.#clientLeft);
  }

  /** Ends the script and what it has started: asks first. */
  stop(): void {
    if (this.#stopped || this.#ended) return;
    this.#stopped = true;
    // What nobody reads any more would keep the output from its end.
    this.#child.stdout?.resume();
    this.#signal('SIGTERM');
    setTimeout(() => {
      this.#signal('SIGKILL');
      // A process that has left the group may hold the output for ever.
      this.#child.stdout?.destroy();
    }, PATIENCE_MS).unref();
  }

  /** A group's number is not given away again while the group lives, and that is until its output is closed. */
  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (this.#ended || pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // Gone by itself.
    }
  }

  // --- the request's body --------------------------------------------------------------------------------------------

  #feed(stdin: Writable): void {
    const { body } = this.#call;
    stdin.on('drain', () => {
      this.#timer.refresh();
      if (body?.readableEnded === false) this.#sending.wait();
    });
    if (body === undefined) {
      stdin.on('error', () => {});
      stdin.end();
      return;
    }
    stdin.on('error', () => {
      this.#sending.proceed();
      // It reads no more, which is its right; the client may have to get rid of the rest before it reads the answer.
      body.unpipe(stdin);
      body.resume();
    });
    body.on('error', () => this.stop());
    body.once('end', () => {
      this.#sending.proceed();
      this.#release();
    });
    body.pipe(stdin);
    body.on('data', (bytes: Buffer) => {
      this.#timer.refresh();
      this.#sending.bytes += bytes.length;
      if (stdin.writableNeedDrain) this.#sending.proceed();
    });
    this.#sending.wait();
  }

  // --- the script's output -------------------------------------------------------------------------------------------

  #output(chunk: Buffer): void {
    this.#timer.refresh();
    if (this.#answered) return;
    if (this.#head !== undefined) {
      this.#write(chunk);
      return;
    }
    const searched = Math.max(0, this.#unread.length - HEAD_END_PART);
    this.#unread.push(chunk);
    const unread = this.#unread.view();
    const end = findHeadEnd(unread, searched);
    if ((end?.head ?? unread.length) > MAX_HEAD) {
      this.#refuse(502, `its output begins with no head of at most ${MAX_HEAD} bytes`);
      return;
    }
    if (end === undefined) return;
    try {
      const text = unread.toString('latin1', 0, end.head).replace(/\r$/, '');
      this.#head = parseHead(text, basename(this.#call.script).startsWith('nph-'));
      this.#begin(this.#head, unread.subarray(end.body));
    } catch (error) {
      this.#refuse(502, error instanceof BadOutput ? `its output begins with ${error.message}` : errorMessage(error));
    }
  }

  #begin(head: ScriptHead, body: Buffer): void {
    this.#unread = new GrowingBuffer();
    if (head.localRedirect !== undefined) {
      this.#answered = true;
      return;
    }
    const { res } = this.#call;
    if (head.reason !== undefined) res.statusMessage = head.reason;
    for (let i = 0; i < head.headers.length; i += 2) {
      res.appendHeader(head.headers[i] as string, head.headers[i + 1] as string);
    }
    res.writeHead(head.status);
    if (body.length > 0) this.#write(body);
    else if (this.#held === undefined) res.flushHeaders();
  }

  #write(chunk: Buffer): void {
    const { res, script, log } = this.#call;
    const left = (this.#head?.contentLength ?? Number.POSITIVE_INFINITY) - this.#sent;
    const bytes = chunk.length > left ? chunk.subarray(0, left) : chunk;
    this.#sent += bytes.length;
    if (chunk.length > left) {
      // What came after would be read as another answer on this connection.
      log.warn(`${script}: its output is longer than its Content-Length; the rest is not sent`);
      this.#release();
      this.#answered = true;
      res.end(bytes);
      this.stop();
      return;
    }
    this.#send(bytes);
  }

  #send(bytes: Buffer): void {
    if (this.#held !== undefined) {
      this.#held.push(bytes);
      if (this.#held.length > MAX_HELD) this.#release();
      return;
    }
    const { res } = this.#call;
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

  #release(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined || this.#head === undefined || this.#answered) return;
    if (held.length === 0) this.#call.res.flushHeaders();
    else this.#send(held.view());
  }

  // --- the ends ------------------------------------------------------------------------------------------------------

  /** The process and its output have both ended; standard error may be held by something that it leaves behind. */
  #maybeEnd(): void {
    if (this.#exit === undefined || !this.#outputEnded || this.#ended) return;
    this.#over();
    if (!this.#answered) this.#complete(this.#exit);
    this.#settle(this.#head?.localRedirect);
  }

  #complete(exit: string): void {
    const { res, script, log } = this.#call;
    this.#release();
    this.#answered = true;
    if (this.#head === undefined) {
      const what = this.#unread.length === 0 ? 'no output' : 'output without the empty line after its head';
      log.error(`${script}: ${what} (${exit})`);
      answerPlain(res, 502);
      return;
    }
    const { contentLength } = this.#head;
    const hasBody = this.#call.res.req.method !== 'HEAD' && ![204, 304].includes(this.#head.status);
    const isShort = hasBody && contentLength !== undefined && this.#sent < contentLength;
    if (isShort) log.error(`${script}: ${this.#sent} bytes, and a Content-Length of ${contentLength}`);
    // An answer that is not whole must not look so.
    if (isShort || exit.startsWith('signal')) res.destroy();
    else res.end();
  }

  #notRun(error: Error): void {
    if (this.#ended) return;
    this.#refuse(500, `it cannot be run: ${errorMessage(error)}`);
    this.#over();
    this.#settle(undefined);
  }

  #over(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#sending.proceed();
    this.#call.res.off('close', this.#clientLeft);
  }

  #late(): void {
    const { body } = this.#call;
    const { stdin } = this.#child;
    const awaitsBody = body !== undefined && !body.readableEnded && stdin?.writableNeedDrain === false;
    if (!this.#answered && (this.#clientIsSlow || awaitsBody)) {
      // The client is slow: ClientPace bounds the body, the server's send_timeout the response.
      this.#timer.refresh();
      return;
    }
    this.#refuse(504, `nothing from it for ${this.#call.timeout} s`);
    this.stop();
  }

  readonly #clientLeft = (): void => {
    if (this.#call.res.writableFinished) return;
    this.#answered = true;
    this.stop();
  };

  #refuse(status: number, reason: string): void {
    const { res, script, log } = this.#call;
    log.error(`${script}: ${reason}`);
    if (!this.#answered) {
      this.#answered = true;
      // What is left of a body would have to be read before the next request.
      if (status === 408) res.shouldKeepAlive = false;
      if (res.headersSent) res.destroy();
      else answerPlain(res, status);
    }
    this.stop();
  }
}
