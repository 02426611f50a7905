/** When a program is ready that listens before it is: a path responds, or the program prints a line. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from '../../gateway/inject.ts';
import { silentLogger } from '../../log.ts';
import type { App } from '../../protocol/types.ts';

const POLL_MS = 50;

/** @returns what to wait for once the program listens; output is watched from now on. */
export function watchReadiness(ready: string): (app: App) => Promise<void> {
  return ready.startsWith('/') ? (app) => responds(app, ready) : waitForLine(ready);
}

async function responds(app: App, path: string): Promise<void> {
  for (;;) {
    const request = { method: 'GET', url: path, headers: { host: 'localhost' }, body: undefined };
    const { statusCode, body } = await inject(app, request, silentLogger);
    body.resume();
    if (statusCode < 400) return;
    await sleep(POLL_MS);
  }
}

function waitForLine(text: string): () => Promise<void> {
  const printed = new Promise<void>((resolve) => {
    for (const stream of [process.stdout, process.stderr]) {
      const { write } = stream;
      let line = '';
      stream.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
        line = (line + Buffer.from(chunk as Uint8Array).toString()).slice(-4096);
        if (line.includes(text)) {
          stream.write = write;
          resolve();
        }
        line = line.slice(line.lastIndexOf('\n') + 1);
        return write.call(stream, chunk, ...rest);
      }) as typeof stream.write;
    }
  });
  return () => printed;
}
