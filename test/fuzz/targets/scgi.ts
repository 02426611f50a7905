/** The SCGI server over live connections: complete requests get their own responses, and broken ones affect no other. */
import { setTimeout as sleep } from 'node:timers/promises';
import { request, ScgiClient } from '../../servers/scgi/client.ts';
import { serveScgi } from '../../servers/scgi/serve.ts';
import { must, type Target } from '../target.ts';
import { KINDS, Nonces, tokenApp, tokenRequest, wrongAnswer } from '../token-app.ts';

export const scgi: Target = {
  name: 'scgi',
  async start() {
    const served = await serveScgi(tokenApp, { headers_timeout: '2' }, { unix: true });
    const [address] = served.running.addresses;
    const path = address?.kind === 'unix' ? address.path : '';
    const nonces = new Nonces();
    return {
      async run(random, trace) {
        const client = await ScgiClient.connect(path);
        const nonce = nonces.take(random);
        const asked = tokenRequest(random, nonce, 0, KINDS);
        const environ = { ...asked.environ, CONTENT_LENGTH: String(asked.body.length) };
        const valid = random.chance(0.4);
        let bytes = request(environ, asked.body);
        if (!valid) bytes = random.mutate(bytes);
        if (!valid && random.chance(0.3)) bytes = bytes.subarray(0, random.below(bytes.length + 1));
        try {
          for (const piece of random.split(bytes)) {
            trace.push(piece);
            client.write(piece);
          }
          if (valid) {
            const answer = await client.answer();
            const wrong = asked.kind === 'destroy' ? undefined : wrongAnswer(asked, answer);
            must(wrong === undefined, `${asked.kind} ${asked.token}: ${wrong}`);
          } else if (random.chance(0.3)) {
            client.socket.end();
            await client.closed;
          } else {
            await sleep(random.below(15));
          }
          const stranger = nonces.stranger(client.received, nonce);
          must(stranger === undefined, `a response to another request: ${stranger}`);
        } finally {
          client.close();
          nonces.release(nonce);
        }
      },
      stop: () => served.close(),
    };
  },
};
