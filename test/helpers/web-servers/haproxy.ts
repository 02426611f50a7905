/** The real HAProxy, run as this user in its own directory. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../directory.ts';
import { freePort, Program } from '../programs/program.ts';
import { untilAnswering } from './web-server.ts';

export interface RunningHaproxy {
  readonly program: Program;
  readonly url: string;
}

/** @param application a line of `fcgi-app`. @param rule a line of the frontend, such as `http-request ...`. */
export async function runHaproxy(
  binary: string,
  socket: string,
  application: string,
  rule: string = '',
): Promise<RunningHaproxy> {
  const file = join(temporaryDirectory(), 'haproxy.cfg');
  const port = await freePort();
  writeFileSync(
    file,
    `defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend site
  bind 127.0.0.1:${port}
  ${rule}
  default_backend app
fcgi-app app
  docroot /
  ${application}
backend app
  use-fcgi-app app
  server app unix@${socket} proto fcgi
`,
  );
  const program = new Program(binary, ['-db', '-f', file]);
  await untilAnswering(port, program);
  return { program, url: `http://127.0.0.1:${port}` };
}
