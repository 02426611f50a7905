/**
 * Continuous load on a server, until it is stopped or has sent enough requests; every byte of every response is
 * checked. It needs the application below, whose responses contain the request and the process that responded.
 */
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The text of a module whose application includes this version in its responses.
 * @param journal a file in which it records which process gets which request, before anything else
 */
export function echoingApp(version: string, journal?: string): string {
  const note = journal ? `writeSync(journal, process.pid + ' ' + req.url + '\\n');` : '';
  const open = journal ? `const journal = openSync(${JSON.stringify(journal)}, 'a');` : '';
  return `import { openSync, writeSync } from 'node:fs';
${open}
export default (req, res) => {
  ${note}
  const start = Buffer.from('${version} ' + process.pid + ' ' + req.method + ' ' + req.url + ' ');
  const parts = [start];
  req.on('data', (data) => parts.push(data));
  req.on('end', () => {
    const body = Buffer.concat(parts);
    res.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length });
    res.end(body);
  });
};
`;
}

export interface LoadOptions {
  /** Number of concurrent clients. */
  readonly clients?: number;
  /** One connection for each client, or for each request. */
  readonly keepAlive?: boolean;
  /** Milliseconds that a client waits after each response. */
  readonly pause?: number;
}

/** A response that did not arrive, or that belongs to another request. */
export interface Failure {
  readonly method: 'GET' | 'POST';
  readonly reason: string;
  readonly path: string;
  /** The process that sent the previous response on this connection; undefined for the first one. */
  readonly previous: number | undefined;
}

export class Load {
  readonly failures: Failure[] = [];
  readonly versions = new Set<string>();
  readonly workers = new Set<number>();
  answered = 0;
  /** The pause of the options; it can be changed. */
  pause: number;
  readonly #url: string;
  readonly #running: Promise<unknown>;
  #stopped = false;

  constructor(url: string, { clients = 8, keepAlive = true, pause = 0 }: LoadOptions = {}) {
    this.#url = url;
    this.pause = pause;
    this.#running = Promise.all(Array.from({ length: clients }, (_, client) => this.#client(client, keepAlive)));
  }

  /** Resolves when the last response has arrived. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #client(client: number, keepAlive: boolean): Promise<void> {
    const agent = new Agent({ keepAlive, maxSockets: 1 });
    let previous: number | undefined;
    for (let round = 0; round < MAX_REQUESTS && !this.#stopped; round++) {
      const path = `/${client}/${round}`;
      const body = bodyOf(client, round);
      try {
        previous = await this.#ask(agent, path, body);
        this.answered++;
      } catch (error) {
        this.failures.push({ method: body ? 'POST' : 'GET', reason: String(error), path, previous });
        previous = undefined;
      }
      if (this.pause > 0) await sleep(this.pause);
    }
    agent.destroy();
  }

  /** @returns the process that has responded. */
  #ask(agent: Agent, path: string, body: Buffer | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      const method = body ? 'POST' : 'GET';
      const headers = body ? { 'content-length': body.length } : {};
      const asking = request(this.#url + path, { agent, method, headers, timeout: PATIENCE_MS }, (response) => {
        this.#check(response, `${method} ${path} `, body ?? Buffer.alloc(0)).then(resolve, reject);
      });
      asking.on('timeout', () => asking.destroy(new Error('no answer')));
      asking.on('error', reject);
      asking.end(body);
    });
  }

  async #check(response: IncomingMessage, asked: string, body: Buffer): Promise<number> {
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    const answer = Buffer.concat(parts);
    const [, version = '', pid = ''] = /^(.+?) (\d+) (?:GET|POST) /.exec(answer.toString('latin1')) ?? [];
    const expected = Buffer.concat([Buffer.from(`${version} ${pid} ${asked}`), body]);
    if (response.statusCode !== 200 || !response.complete || !answer.equals(expected)) {
      const text = answer.toString('latin1').slice(0, 200);
      throw new Error(`${asked}: ${response.statusCode}, ${answer.length} of ${expected.length} bytes: ${text}`);
    }
    this.versions.add(version);
    this.workers.add(Number(pid));
    return Number(pid);
  }
}

const MAX_REQUESTS = 100_000;
const PATIENCE_MS = 30_000;

/** No body for two of three requests; the others have all sizes, and each byte depends on its position and on the client. */
function bodyOf(client: number, round: number): Buffer | undefined {
  if (round % 3 !== 0) return undefined;
  const body = Buffer.allocUnsafe((round * 997) % 20_000);
  for (let at = 0; at < body.length; at++) body[at] = (at * 31 + client * 7 + round) & 255;
  return body;
}
