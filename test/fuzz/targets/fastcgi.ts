/**
 * The FastCGI server over live connections, several at a time: valid conversations of interleaved requests, each of which
 * gets its own response; the same with changed bytes, cut off, aborted, half closed, unread; records in any order.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { begin, FastcgiClient, pairs, record, request, stream, TYPE } from '../../servers/fastcgi/client.ts';
import { serveFastcgi } from '../../servers/fastcgi/serve.ts';
import type { Random } from '../random.ts';
import { must, type Target } from '../target.ts';
import { KINDS, Nonces, type TokenRequest, tokenApp, tokenRequest, wrongAnswer } from '../token-app.ts';

/** The server's own limit. */
const IN_FLIGHT = 4096;
const DEADLINE_MS = 20_000;

export const fastcgi: Target = {
  name: 'fastcgi',
  async start() {
    const settings = { multiplexed: 'true', headers_timeout: '2' };
    const served = await serveFastcgi(tokenApp, settings);
    const nonces = new Nonces();
    return {
      async run(random, trace) {
        const client = await FastcgiClient.connect(served.path);
        const nonce = nonces.take(random);
        try {
          if (random.chance(0.4)) await conversation(client, random, nonce, trace);
          else await nonsense(client, random, nonce, trace);
          const stranger = nonces.stranger(Buffer.concat(client.records.map((each) => each.content)), nonce);
          must(stranger === undefined, `a response to another request: ${stranger}`);
        } finally {
          client.close();
          nonces.release(nonce);
        }
        if (random.chance(0.05)) await honest(served.path);
      },
      async stop() {
        await allSlotsFree(served.path);
        await served.close();
      },
    };
  },
};

/** The records of a request in order, to be interleaved with those of others. */
function recordsOf(random: Random, id: number, { environ, body }: TokenRequest): Buffer[] {
  const ordinary = { SCRIPT_NAME: '/', SERVER_PROTOCOL: 'HTTP/1.1', REMOTE_ADDR: '192.0.2.7', HTTP_HOST: 'a.test' };
  const padding = (): number => (random.chance(0.2) ? random.below(256) : 0);
  const pieces = (type: number, bytes: Buffer): Buffer[] =>
    random
      .split(bytes)
      .map((piece) => (piece.length > 65_535 ? stream(type, id, piece) : record(type, id, piece, padding())));
  return [
    begin(id),
    ...pieces(TYPE.params, pairs({ ...ordinary, ...environ })),
    record(TYPE.params, id, '', padding()),
    ...pieces(TYPE.stdin, Buffer.from(body, 'latin1')),
    record(TYPE.stdin, id, '', padding()),
  ];
}

function interleave(random: Random, queues: readonly (readonly Buffer[])[]): Buffer[] {
  const waiting = queues.map((queue) => [...queue]);
  const mixed: Buffer[] = [];
  for (;;) {
    const open = waiting.filter((queue) => queue.length > 0);
    if (open.length === 0) return mixed;
    const queue = random.pick(open);
    for (let count = 1 + random.below(20); count > 0 && queue.length > 0; count--) mixed.push(queue.shift() as Buffer);
  }
}

function send(client: FastcgiClient, bytes: readonly Buffer[], trace: Buffer[]): void {
  for (const piece of bytes) {
    trace.push(piece);
    client.write(piece);
  }
}

/** A valid conversation, so every request must get its own response. */
async function conversation(client: FastcgiClient, random: Random, nonce: string, trace: Buffer[]): Promise<void> {
  for (let round = 1 + random.below(2); round > 0; round--) {
    const requests = Array.from({ length: 1 + random.below(5) }, (_, i) => tokenRequest(random, nonce, i, KINDS));
    const first = 1 + random.below(60_000);
    const aborted = new Set<number>();
    const queues = requests.map((each, i) => {
      const queue = recordsOf(random, first + i, each);
      if (!random.chance(0.15)) return queue;
      aborted.add(i);
      return [...queue.slice(0, 1 + random.below(queue.length)), record(TYPE.abort, first + i)];
    });
    send(client, random.split(Buffer.concat(interleave(random, queues))), trace);
    const broken = requests.some((each) => each.kind === 'destroy');
    for (const [i, each] of requests.entries()) {
      const answer = await client.answer(first + i, DEADLINE_MS);
      if (aborted.has(i) || each.kind === 'destroy') continue;
      // The connection ends after an aborted response, and requests that begin later are refused.
      if (broken && (answer.end === undefined || answer.end.protocolStatus === 2)) continue;
      must(answer.end?.protocolStatus === 0, `no whole answer for request ${first + i}`);
      const wrong = wrongAnswer(each, answer);
      must(wrong === undefined, `request ${first + i}, ${each.kind} ${each.token}: ${wrong}`);
    }
    if (broken) return;
    must(client.records.length === 0, 'more than the answers came');
  }
}

/** Whatever happens, it stays on its connection. */
async function nonsense(client: FastcgiClient, random: Random, nonce: string, trace: Buffer[]): Promise<void> {
  if (random.chance(0.2)) client.socket.pause();
  const requests = Array.from({ length: 1 + random.below(4) }, (_, i) => tokenRequest(random, nonce, i, KINDS));
  const valid = interleave(
    random,
    requests.map((each, i) => recordsOf(random, 1 + i, each)),
  );
  let bytes: Buffer = Buffer.concat(random.chance(0.3) ? soup(random) : valid);
  if (random.chance(0.7)) bytes = random.mutate(bytes);
  if (random.chance(0.3)) bytes = bytes.subarray(0, random.below(bytes.length + 1));
  send(client, random.split(bytes), trace);
  if (random.chance(0.3)) await sleep(random.below(10));
  const ending = random.below(4);
  if (ending === 0) client.socket.end();
  if (ending === 1) client.socket.destroy();
  if (ending > 1) await sleep(random.below(15));
}

function soup(random: Random): Buffer[] {
  return Array.from({ length: random.below(12) }, () => {
    const id = random.below(4);
    return random.pick([
      () => begin(id, { role: random.below(5), keep: random.chance(0.5) }),
      () => record(random.below(13), id, random.bytes(random.length(70)), random.below(20)),
      () => record(TYPE.getValues, 0, pairs({ FCGI_MAX_CONNS: '', [random.hostileText().slice(0, 99)]: '' })),
      () => stream(TYPE.params, id, pairs({ REQUEST_URI: random.hostileText().slice(0, 500) }), 9),
      () => record(TYPE.params, id),
      () => record(TYPE.stdin, id),
      () => record(TYPE.abort, id),
      () => request(id, { REQUEST_URI: `/echo/${id}/` }, { role: random.below(4), keep: random.chance(0.5) }),
      () => random.bytes(random.below(30)),
    ])();
  });
}

async function honest(path: string): Promise<void> {
  const client = await FastcgiClient.connect(path);
  client.write(request(1, { REQUEST_URI: '/echo/honest/' }));
  const answer = await client.answer(1, DEADLINE_MS);
  client.close();
  must(answer.status === 200, `an honest request was answered with ${answer.status}`);
}

/** As many concurrent requests as are allowed: one that was never released would take the place of another. */
async function allSlotsFree(path: string): Promise<void> {
  const until = Date.now() + DEADLINE_MS;
  for (;;) {
    const client = await FastcgiClient.connect(path);
    for (let id = 1; id <= IN_FLIGHT; id++) client.write(request(id, { REQUEST_URI: '/slow/all/' }));
    let refused = 0;
    for (let id = 1; id <= IN_FLIGHT; id++) {
      if ((await client.answer(id, DEADLINE_MS)).end?.protocolStatus !== 0) refused++;
    }
    client.close();
    if (refused === 0) return;
    must(Date.now() < until, `${refused} requests were never let go`);
    await sleep(200);
  }
}
