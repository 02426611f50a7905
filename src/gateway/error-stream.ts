/**
 * The error log of a request, like Python's `wsgi.errors`. FastCGI sends the text to the web server at the end of the request
 * (STDERR, FastCGI specification 1.0 section 5.3), and the web server writes it to its own error log. All other protocols use
 * standard error; under CGI, that is the web server's log too.
 */
import type { IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';

/**
 * The method of a request's socket that writes to the web server's error log: it takes a text, and returns false if it is too
 * late or too much. `Symbol.for`, because the application may have loaded another copy of this package than the server's.
 */
export const REPORT = Symbol.for('paster.report');

/**
 * A stream into the error log that belongs to a request. With FastCGI it arrives there when the response is complete. Text
 * that comes after that, or beyond 64 Ki characters, goes to standard error.
 * @param req the request as Node passes it to listeners, also after a framework has replaced its prototype.
 */
export function errorStream(req: IncomingMessage): Writable {
  const { socket } = req;
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      const text = chunk.toString();
      const report: unknown = Reflect.get(socket, REPORT);
      const isReported = typeof report === 'function' && report.call(socket, text) === true;
      if (!isReported) process.stderr.write(text);
      done();
    },
  });
}
