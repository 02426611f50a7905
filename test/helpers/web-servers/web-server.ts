/** Shared by all real web servers. */
import { join } from 'node:path';
import { eventually, type Program } from '../programs/program.ts';

/** A web server that a test has started. */
export interface RunningWebServer {
  readonly program: Program;
  /** Its root URL, without a trailing slash. */
  readonly url: string;
  /** The same with TLS. Without openssl, no server listens there. */
  readonly tlsUrl: string;
  readonly errorLog: string;
}

/** Waits for an HTTP response on a port. @throws Error if the program ends first */
export async function untilAnswering(port: number, program: Program, host: string = '127.0.0.1'): Promise<void> {
  await eventually(async () => {
    if (program.child.exitCode !== null) throw new Error(`the web server did not start:\n${program.output}`);
    return fetch(`http://${host}:${port}/`).then(
      (response) => response.arrayBuffer().then(() => true),
      () => false,
    );
  });
}

/** A web server on loopback ports that logs errors to a file in `directory`. Resolves when it responds. */
export async function running(
  program: Program,
  port: number,
  tlsPort: number,
  directory: string,
): Promise<RunningWebServer> {
  await untilAnswering(port, program);
  return {
    program,
    url: `http://127.0.0.1:${port}`,
    tlsUrl: `https://127.0.0.1:${tlsPort}`,
    errorLog: join(directory, 'error.log'),
  };
}
