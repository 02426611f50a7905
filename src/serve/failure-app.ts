/** The application that answers for a version that does not load: every request gets the error, none is refused. */
import { formatError, PasterError } from '../errors.ts';
import { errorPage } from '../http/error-page.ts';
import type { App } from '../protocol/types.ts';

export function failureApp(error: Error): App {
  const text = error instanceof PasterError ? formatError(error) : `${error.name}: ${error.message}`;
  const id = `${process.pid}-${Date.now()}`;
  return (req, res) => {
    const wantsHtml = req.headers.accept?.includes('text/html') ?? false;
    const body = wantsHtml ? errorPage(error, id) : `The application does not load.\n\n${text}\n`;
    res.writeHead(500, {
      'content-type': `text/${wantsHtml ? 'html' : 'plain'}; charset=utf-8`,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-paster-error': id,
    });
    res.end(body);
  };
}
