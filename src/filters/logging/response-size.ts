/** Counts the bytes of a response's body, as the application hands them over. */
import type { ServerResponse } from 'node:http';
import { chunkSize, type ResponseHooks } from '../../http/response/response-interceptor.ts';
import { hasBody } from '../../http/response/response-outcome.ts';

export class ResponseSize implements ResponseHooks {
  readonly #res: ServerResponse;
  #written = 0;
  /** The bytes that `end` was given. They count once it has succeeded. */
  #last = 0;

  constructor(res: ServerResponse) {
    this.#res = res;
  }

  /** The bytes so far, before other filters and the server encode them. */
  get bytes(): number {
    const bytes = this.#res.writableEnded ? this.#written + this.#last : this.#written;
    return bytes > 0 && hasBody(this.#res) ? bytes : 0;
  }

  onWrite(chunk: unknown, encoding: unknown): void {
    if (!this.#res.writableEnded && !this.#res.destroyed) this.#written += chunkSize(chunk, encoding);
  }

  onEnd(chunk: unknown, encoding: unknown): void {
    if (chunk && !this.#res.writableEnded && !this.#res.destroyed) this.#last = chunkSize(chunk, encoding);
  }
}
