/**
 * The application of the live targets. Every request has a token in its URL, in a header and in its body, and
 * every response contains the tokens that it saw, which reveals two requests that were mixed up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '../../src/protocol/types.ts';
import type { Random } from './random.ts';

export const KINDS = ['echo', 'early', 'slow', 'stream', 'big', 'throw', 'destroy'] as const;
export type Kind = (typeof KINDS)[number];

export const tokenApp: App = async (req, res) => {
  req.on('error', () => {});
  res.on('error', () => {});
  const [, kind, token = ''] = (req.url ?? '').split('/');
  res.setHeader('X-Token', String(req.headers['x-token']));
  switch (kind) {
    case 'early':
      res.end(token);
      return;
    case 'throw':
      throw new Error(token);
    case 'destroy':
      res.write(token);
      res.destroy();
      return;
    case 'big':
      res.end(token.padEnd(200_000, '.'));
      return;
    case 'slow':
      await sleep(5);
      break;
    case 'stream':
      for (let i = 0; i < 5; i++) {
        res.write(`${token}\n`);
        await new Promise((resolve) => setImmediate(resolve));
      }
      break;
  }
  let body = '';
  for await (const part of req) body += part;
  res.end(`${token}\n${body}`);
};

export interface TokenRequest {
  readonly kind: Kind;
  readonly token: string;
  readonly body: string;
  readonly environ: Readonly<Record<string, string>>;
}

/** @param nonce of the connection: no other connection has it in its tokens. */
export function tokenRequest(random: Random, nonce: string, number: number, kinds: readonly Kind[]): TokenRequest {
  const kind = random.pick(kinds);
  const token = `T${nonce}-${number}-`;
  const body = random.chance(0.5) ? '' : token.padEnd(random.length(100_000), '.');
  return {
    kind,
    token,
    body,
    environ: {
      REQUEST_METHOD: body === '' ? 'GET' : 'POST',
      REQUEST_URI: `/${kind}/${token}/`,
      CONTENT_LENGTH: body === '' ? '' : String(body.length),
      HTTP_X_TOKEN: token,
    },
  };
}

export interface TokenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What is wrong with the response, if anything. */
export function wrongAnswer({ kind, token, body }: TokenRequest, answer: TokenAnswer): string | undefined {
  if (kind === 'throw') return answer.status === 500 ? undefined : `status ${answer.status} for an error`;
  if (answer.status !== 200) return `status ${answer.status}`;
  if (answer.headers['x-token'] !== token) return `the header of ${answer.headers['x-token']}`;
  const expected = {
    early: token,
    big: token.padEnd(200_000, '.'),
    stream: `${`${token}\n`.repeat(5)}${token}\n${body}`,
    echo: `${token}\n${body}`,
    slow: `${token}\n${body}`,
    destroy: '',
  }[kind];
  const got = answer.body.toString('latin1');
  return got === expected ? undefined : `${got.length} bytes beginning ${JSON.stringify(got.slice(0, 80))}`;
}

/** Nonces of live connections, which distinguish the token of another connection from one that a mutation has invented. */
export class Nonces {
  readonly #live = new Set<string>();

  take(random: Random): string {
    for (;;) {
      const nonce = random.bytes(6).toString('hex');
      if (this.#live.has(nonce)) continue;
      this.#live.add(nonce);
      return nonce;
    }
  }

  release(nonce: string): void {
    this.#live.delete(nonce);
  }

  /** A token in `bytes` that belongs to another connection than that of `nonce`. */
  stranger(bytes: Buffer, nonce: string): string | undefined {
    for (const [token, found = ''] of bytes.toString('latin1').matchAll(/T([0-9a-f]{12})-/g)) {
      if (found !== nonce && this.#live.has(found)) return token;
    }
    return undefined;
  }
}
