/** What the contract needs of a server, whatever its protocol: it takes an application, sends a request and returns the response. */
import type { Readable } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { App } from '../../../src/protocol/types.ts';

export interface ContractRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The chunks of the body, sent with a turn of the event loop between them. */
  readonly body?: readonly (string | Buffer)[];
  /** A Content-Length that differs from the length of the body. */
  readonly declaredLength?: number;
  /** The client disconnects when this settles. */
  readonly abort?: Promise<unknown>;
  /** The client reads nothing until this settles. */
  readonly readAfter?: Promise<unknown>;
}

export interface ContractResponse {
  readonly status: number;
  /** Without Date and headers about the connection, which a web server adds itself. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** Whether the response is complete. False: the connection broke in the middle, or before anything arrived. */
  readonly complete: boolean;
}

export interface Serving {
  request(request?: ContractRequest): Promise<ContractResponse>;
  /** Sends requests one after the other, over one connection if the backend keeps it open. */
  inTurn(requests: readonly ContractRequest[]): Promise<ContractResponse[]>;
  readonly log: readonly string[];
  close(): Promise<void>;
}

export interface Backend {
  readonly name: string;
  /** Whether the client's own spelling of header names reaches the application. */
  readonly keepsCase: boolean;
  /** Whether the backend speaks HTTP/2, to which rules of HTTP/1.1 alone do not apply. */
  readonly isHttp2?: true;
  /** Whether one connection carries several requests; SCGI and CGI have one for each. */
  readonly keepsConnections: boolean;
  start(app: App): Promise<Serving>;
}

/** `inTurn` for backends with a connection for each request. */
export async function oneByOne(
  requests: readonly ContractRequest[],
  ask: (request: ContractRequest) => Promise<ContractResponse>,
): Promise<ContractResponse[]> {
  const answers: ContractResponse[] = [];
  for (const request of requests) answers.push(await ask(request));
  return answers;
}

/** Reads nothing from the client's connection until the request allows it. */
export function delayReading({ readAfter }: ContractRequest, connection: Readable): void {
  if (!readAfter) return;
  connection.pause();
  readAfter.then(() => connection.resume());
}

/**
 * Writes the body of a request to a server of this process.
 * @param isWhole false: less than the declared length, and then nothing
 * @param disconnect called in that case, when the server has had time to respond to what there is
 */
export async function sendBody(
  client: { write(piece: string | Buffer): unknown; end(): unknown },
  body: readonly (string | Buffer)[],
  isWhole: boolean,
  disconnect: () => void,
): Promise<void> {
  for (const piece of body) {
    await nextTurn();
    client.write(piece);
  }
  if (isWhole) {
    client.end();
    return;
  }
  await sleep(50);
  // On a busy machine that time may pass before the event loop has handled what the client and the server have sent.
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  disconnect();
}

const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date']);

export function withoutConnectionHeaders(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, i) => !OF_THE_CONNECTION.has((rawHeaders[i & ~1] as string).toLowerCase()));
}
