/** A GET request to 127.0.0.1, and waiting for the first response with status 200. */
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const START_MS = 20_000;
const POLL_MS = 1;

/**
 * @param {number} port
 * @param {{ agent?: import('node:http').Agent | false, timeout?: number, path?: string }} options `agent`: by default, each request has a connection of its own
 * @returns {Promise<{ status: number, body: string }>} rejects if there is no complete response
 */
export function ask(port, { agent = false, timeout = START_MS, path = '/' } = {}) {
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port, path, agent, timeout }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asking.on('timeout', () => asking.destroy(new Error('no answer')));
    asking.on('error', reject);
    asking.end();
  });
}

/** Sends requests until one gets a 200. @returns {Promise<string>} the body */
export async function firstAnswer(port) {
  const until = performance.now() + START_MS;
  for (;;) {
    try {
      const { status, body } = await ask(port);
      if (status === 200) return body;
      if (performance.now() > until) throw new Error(`the status is ${status}`);
    } catch (error) {
      if (performance.now() > until) throw error;
    }
    await sleep(POLL_MS);
  }
}
