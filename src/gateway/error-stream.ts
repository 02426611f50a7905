/**
 * The error log of whoever serves a request, as `wsgi.errors` is in Python: FastCGI carries it to the web server (STDERR,
 * FastCGI specification 1.0 section 5.3) at the end of the request, which writes it into its own error log. Servers that have no
 * such way, and CGI, whose standard error is the web server's log, have this process's standard error.
 */
import type { IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';

/**
 * Where the socket of a request keeps its way to the web server's error log: takes a text, and says false where it is too
 * late or too much. Registered, because the application may have loaded another copy of this package than the one that serves it.
 */
export const REPORT = Symbol.for('paster.report');

/**
 * A stream into the error log that belongs to a request. With FastCGI it arrives there when the response is complete. Text
 * that comes after that, or beyond 64 Ki characters, goes to standard error.
 * @param req the request, in whatever framework's clothes: the object that Node's listeners get.
 */
export function errorStream(req: IncomingMessage): Writable {
  const { socket } = req;
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      const text = chunk.toString();
      const report: unknown = Reflect.get(socket, REPORT);
      const taken = typeof report === 'function' && report.call(socket, text) === true;
      if (!taken) process.stderr.write(text);
      done();
    },
  });
}
