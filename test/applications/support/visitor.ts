/** Visits a program like a browser that keeps cookies, and extracts the parts of its responses that must be the same everywhere. */
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../../helpers/requests/ask.ts';
import type { Visit } from './catalogue.ts';

/** The Host of every request, whatever the port is. */
const HOST = 'app.example';

/** Headers that depend on the connection and thus on the server, on the clock, or on a count in the process. */
const PASSING_HEADERS = [
  'connection',
  'date',
  'keep-alive',
  'server',
  'transfer-encoding',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  'x-request-id',
];

export interface Seen {
  readonly asked: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Makes requests one after the other, in one session. */
export async function visitAll(origin: string, visits: readonly Visit[]): Promise<Seen[]> {
  const cookies = new Map<string, string>();
  const seen: Seen[] = [];
  for (const { path, headers, ...question } of visits) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const sent = { host: HOST, ...(cookie === '' ? {} : { cookie }), ...headers };
    const reply = await ask(origin, path, { ...question, headers: sent });
    for (const each of reply.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]*)=([^;]*)/.exec(each) ?? [];
      cookies.set(name, value);
    }
    seen.push({
      asked: `${question.method ?? 'GET'} ${path}`,
      status: reply.status,
      headers: comparable(reply.headers),
      body: withoutRandom(reply.body.toString()),
    });
  }
  return seen;
}

function comparable(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const compared = Object.entries(headers).filter(([name]) => !PASSING_HEADERS.includes(name));
  return Object.fromEntries(
    compared.map(([name, value]) => [
      name,
      typeof value === 'string' ? withoutRandom(value) : value?.map(withoutRandom),
    ]),
  );
}

/** Session ids, nonces and times differ from one run of a program to the next. */
function withoutRandom(text: string): string {
  return text
    .replace(/(^|\W)(connect\.sid|session)=[^;]+/g, '$1$2=ID')
    .replace(/"sid":"[^"]+"/, '"sid":"ID"')
    .replace(/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g, 'DATE')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, 'TIME');
}

/** Clients that request one path, each on its own connection, with short pauses: workers that start need the processor. */
export class Visitors {
  readonly failures: string[] = [];
  answered = 0;
  #isStopped = false;
  readonly #running: Promise<unknown>;

  constructor(url: string, expected: number, clients = 4) {
    this.#running = Promise.all(Array.from({ length: clients }, () => this.#client(url, expected)));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #client(url: string, expected: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!this.#isStopped) {
      try {
        const status = await visitOnce(url, agent);
        if (status === expected) this.answered++;
        else this.failures.push(`status ${status}`);
      } catch (error) {
        this.failures.push(String(error));
      }
      await sleep(30);
    }
    agent.destroy();
  }
}

function visitOnce(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { agent, headers: { host: HOST } }, (response) => {
      response.resume().on('error', reject);
      response.on('close', () =>
        response.complete ? resolve(response.statusCode ?? 0) : reject(new Error('cut off')),
      );
    });
    asking.on('error', reject).end();
  });
}
