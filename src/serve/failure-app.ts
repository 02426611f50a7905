/** The application that answers for a version that does not load: every request gets the error, none is refused. */
import { errorMessage, formatError, PasterError } from '../errors.ts';
import { ERROR_ID_HEADER, errorPage } from '../http/error-page.ts';
import type { App } from '../protocol/types.ts';

const TITLE = 'The application does not load';
const NOTE = 'The next save that can be loaded brings it back; this page notices by itself.';

/**
 * @param isShown whether clients get to see what is wrong; otherwise only that something is.
 * @param directory of the project
 */
export function failureApp(error: Error, isShown: boolean, directory: string): App {
  const text = error instanceof PasterError ? formatError(error) : `${error.name}: ${errorMessage(error)}`;
  const id = `${process.pid}-${Date.now()}`;
  let page: Promise<string> | undefined;
  return async (req, res) => {
    const wantsHtml = req.headers.accept?.includes('text/html') ?? false;
    if (wantsHtml && isShown) page ??= errorPage(error, { title: TITLE, note: NOTE, id, directory });
    const body = wantsHtml && page ? await page : `${TITLE}.\n${isShown ? `\n${text}\n` : ''}`;
    res.writeHead(500, {
      'content-type': `text/${page && wantsHtml ? 'html' : 'plain'}; charset=utf-8`,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      [ERROR_ID_HEADER]: id,
    });
    res.end(body);
  };
}
