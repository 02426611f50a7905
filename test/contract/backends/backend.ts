/** What the contract needs of a server, whatever it speaks: an application in, a request and its answer out. */
import type { Readable } from 'node:stream';
import type { App } from '../../../src/protocol/types.ts';

export interface ContractRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent in these pieces, a turn of the event loop between them. */
  readonly body?: readonly (string | Buffer)[];
  /** Sent with a Content-Length other than the body's own. */
  readonly declaredLength?: number;
  /** The client goes away when this settles. */
  readonly abort?: Promise<unknown>;
  /** The client reads nothing until this settles. */
  readonly readAfter?: Promise<unknown>;
}

export interface ContractResponse {
  readonly status: number;
  /** Those that say something about one connection, and Date, are left out: a web server adds its own. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** The answer came to its end. False: the connection broke in the middle, or before anything came. */
  readonly complete: boolean;
}

export interface Serving {
  request(request?: ContractRequest): Promise<ContractResponse>;
  /** One after the other, over one connection where the backend keeps it. */
  inTurn(requests: readonly ContractRequest[]): Promise<ContractResponse[]>;
  readonly log: readonly string[];
  close(): Promise<void>;
}

export interface Backend {
  readonly name: string;
  /** Whether the client's own spelling of header names reaches the application. */
  readonly keepsCase: boolean;
  /** It carries HTTP/2, to which what HTTP/1.1 alone says does not apply. */
  readonly isHttp2?: true;
  /** Whether one connection carries several requests; SCGI and CGI have one for each. */
  readonly keepsConnections: boolean;
  start(app: App): Promise<Serving>;
}

/** `inTurn` where each request has a connection of its own. */
export async function oneByOne(
  requests: readonly ContractRequest[],
  ask: (request: ContractRequest) => Promise<ContractResponse>,
): Promise<ContractResponse[]> {
  const answers: ContractResponse[] = [];
  for (const request of requests) answers.push(await ask(request));
  return answers;
}

/** Reads nothing from the client's connection until the request says so. */
export function delayReading({ readAfter }: ContractRequest, connection: Readable): void {
  if (!readAfter) return;
  connection.pause();
  readAfter.then(() => connection.resume());
}

const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date']);

export function withoutConnectionHeaders(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, i) => !OF_THE_CONNECTION.has((rawHeaders[i & ~1] as string).toLowerCase()));
}
