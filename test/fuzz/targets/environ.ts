/** From a CGI environment to `(req, res)` and back: whatever the variables contain, they cannot create a header. */
import { METHODS } from 'node:http';
import { environFromPairs, environFromRequest, findVariable } from '../../../src/gateway/environ.ts';
import { openExchange } from '../../../src/gateway/exchange.ts';
import { BadEnviron, readHead } from '../../../src/gateway/request-head.ts';
import type { Batch, Carrier } from '../../../src/gateway/socket.ts';
import type { Random } from '../random.ts';
import { must, type Target } from '../target.ts';

const NAMES = [
  'REQUEST_METHOD',
  'REQUEST_URI',
  'SCRIPT_NAME',
  'PATH_INFO',
  'QUERY_STRING',
  'SERVER_PROTOCOL',
  'SERVER_SOFTWARE',
  'CONTENT_LENGTH',
  'CONTENT_TYPE',
  'HTTPS',
  'REQUEST_SCHEME',
  'REMOTE_ADDR',
  'REMOTE_PORT',
  'SERVER_ADDR',
  'SERVER_PORT',
  'HTTP_HOST',
  'HTTP_COOKIE',
  'HTTP_PROXY',
  'HTTP_CONTENT_LENGTH',
  'HTTP_CONTENT_TYPE',
  'HTTP_TRANSFER_ENCODING',
  'HTTP_SET_COOKIE',
  'HTTP_',
  'HTTP___PROTO__',
  'HTTP_CONSTRUCTOR',
  'HTTP_X:\r\nY',
  'http_x',
  '__proto__',
  'constructor',
  '',
] as const;

const ORDINARY: readonly string[] = [
  '/',
  '/a%2Fb/c?d=e',
  '/proxy',
  'on',
  'off',
  '0',
  '17',
  'HTTP/1.0',
  'HTTP/2.0',
  'lighttpd/1.4.69',
  'nginx/1.22.1',
  '192.0.2.1',
  '::1',
  'unix:',
  'chunked',
  ...METHODS.slice(0, 8),
];

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const CONTROL = /[\0-\x20\x7f]/;
const BREAK = /[\0\r\n]/;

export const environ: Target = {
  name: 'environ',
  async start() {
    return { run, async stop() {} };
  },
};

async function run(random: Random, trace: Buffer[]): Promise<void> {
  const pairs: string[] = [];
  for (let count = random.below(random.chance(0.02) ? 5000 : 20); count > 0; count--) {
    const name = random.chance(0.9) ? random.pick(NAMES) : random.hostileText();
    pairs.push(name, random.chance(0.5) ? random.pick(ORDINARY) : random.hostileText());
  }
  const mount = random.chance(0.2) ? random.pick(['/', '', '/proxy', 'a']) : undefined;
  trace.push(Buffer.from(JSON.stringify([pairs, mount]), 'latin1'));
  everyVariable(pairs);
  let head: ReturnType<typeof readHead>;
  try {
    head = readHead(pairs, mount, { lengthIsForced: random.chance(0.3), pathIsSplit: random.chance(0.2) });
  } catch (error) {
    if (!(error instanceof BadEnviron)) throw error;
    must(!BREAK.test(error.message), 'an error message with a line break');
    return;
  }
  must(TOKEN.test(head.method), 'a method that is no token');
  for (const url of [head.url, head.baseUrl, head.originalUrl]) must(!CONTROL.test(url), `a URL with blanks: ${url}`);
  must(head.url !== '', 'no URL');
  for (let i = 0; i < head.rawHeaders.length; i += 2) {
    must(TOKEN.test(head.rawHeaders[i] as string), 'a header with a name that is no token');
    must(!BREAK.test(head.rawHeaders[i + 1] as string), 'a header with a line break');
  }
  await exchange(head);
  must(
    Object.getPrototypeOf({}) === Object.prototype && Object.keys(Object.prototype).length === 0,
    'a prototype changed',
  );
}

function everyVariable(pairs: readonly string[]): void {
  const all = environFromPairs(pairs);
  must(Object.getPrototypeOf(all) === null, 'an environment with a prototype');
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i] as string;
    must(Object.hasOwn(all, name), `the variable ${JSON.stringify(name)} is not there`);
    const last = pairs.findLastIndex((text, at) => at % 2 === 0 && text === name);
    must(findVariable(pairs, name) === pairs[last + 1], `another value of ${JSON.stringify(name)}`);
  }
}

/** Makes a request of it, examines it in every way, and responds. */
async function exchange(head: ReturnType<typeof readHead>): Promise<void> {
  let answer = '';
  const over = new Promise<void>((resolve) => {
    const carrier: Carrier = {
      send(batch: Batch, last: boolean) {
        for (const piece of batch.data) answer += Buffer.from(piece as string).toString('latin1');
        for (const callback of batch.callbacks) process.nextTick(callback);
        if (last) resolve();
        return true;
      },
      resumeBody() {},
      abort: resolve,
    };
    const { socket, request, response } = openExchange(head, carrier);
    request.on('error', () => {});
    const parts = [request.headers, request.headersDistinct, request.environ, request.socket, socket.address()];
    must(
      parts.every((part) => typeof part === 'object' && part !== null),
      'a part of the request is missing',
    );
    const { remoteAddress } = request.socket;
    must(remoteAddress === undefined || typeof remoteAddress === 'string', `the address ${String(remoteAddress)}`);
    const program = environFromRequest(request);
    must(!('HTTP_PROXY' in program), 'HTTP_PROXY for a program');
    for (const name of Object.keys(program)) must(/^[A-Z][^=\0]*$/.test(name), `the variable ${JSON.stringify(name)}`);
    response.setHeader('X-Seen', Buffer.from(request.url ?? '').toString('hex'));
    if (socket.bodyMissing === undefined || socket.bodyMissing === 0) socket.endBody();
    response.end('ok');
  });
  await over;
  const [first = '', ...lines] = answer.split('\r\n\r\n', 1)[0]?.split('\r\n') ?? [];
  must(first === 'Status: 200 OK', `the answer begins with ${JSON.stringify(first)}`);
  must(
    lines.every((line) => /^(X-Seen|Content-Length): [0-9a-f]*$/.test(line)),
    'a header that was not sent',
  );
}
