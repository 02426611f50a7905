/** Load on a URL for some time: by wrk if it is installed, otherwise by a small client of our own. */
import { execFile, spawnSync } from 'node:child_process';
import { createConnection } from 'node:net';
import { promisify } from 'node:util';
import { pinned } from '../measure/program.js';

const CONNECTIONS = 16;
export const hasWrk = spawnSync('wrk', ['--version']).error === undefined;

/**
 * @param {string} url
 * @param {number} seconds
 * @param {string | undefined} processors
 * @returns {Promise<{ requests: number, perSecond: number }>}
 */
export function load(url, seconds, processors) {
  return hasWrk ? wrk(url, seconds, processors) : ownClient(new URL(url), seconds);
}

async function wrk(url, seconds, processors) {
  const command = pinned(['wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, url], processors);
  const { stdout } = await promisify(execFile)(command[0], command.slice(1));
  const failures = /Non-2xx or 3xx responses: (\d+)|Socket errors: .*/.exec(stdout);
  if (failures) throw new Error(`${url}: ${failures[0]}`);
  const [, requests, time] = /(\d+) requests in ([\d.]+)s/.exec(stdout);
  return { requests: Number(requests), perSecond: Number(requests) / Number(time) };
}

/** Keeps one request in flight on each connection. Responses of any length work if they have a Content-Length. */
async function ownClient({ hostname, port, pathname }, seconds) {
  const request = `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`;
  let requests = 0;
  const began = performance.now();
  const until = began + seconds * 1000;
  await Promise.all(Array.from({ length: CONNECTIONS }, () => connection()));
  return { requests, perSecond: (requests * 1000) / (performance.now() - began) };

  function connection() {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ host: hostname, port: Number(port) }, () => socket.write(request));
      let head = '';
      let missing = -1;
      socket.on('error', reject);
      socket.on('close', resolve);
      socket.on('data', (bytes) => {
        let body = bytes.length;
        if (missing < 0) {
          head += bytes.toString('latin1');
          const end = head.indexOf('\r\n\r\n');
          if (end === -1) return;
          if (!/^HTTP\/1\.1 200/.test(head)) return reject(new Error(head.slice(0, end)));
          missing = Number(/^content-length: *(\d+)/im.exec(head)?.[1]);
          body = head.length - end - 4;
        }
        missing -= body;
        if (missing > 0) return;
        requests++;
        head = '';
        missing = -1;
        if (performance.now() < until) socket.write(request);
        else socket.destroy();
      });
    });
  }
}
