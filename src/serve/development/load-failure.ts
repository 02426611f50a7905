/** What a server in development responds with while the version on disk does not load. */
import { createHash } from 'node:crypto';
import { errorMessage, formatError, PasterError } from '../../errors.ts';
import { pageTools } from '../../http/error-page/developer-tools.ts';
import { ERROR_ID_HEADER, errorPage } from '../../http/error-page/error-page.ts';
import { respondWithError, sendPlainText } from '../../http/error-response.ts';
import type { App, Settings } from '../../protocol/types.ts';
import type { WorkerPlan } from '../plan.ts';
import { type Development, hidesErrors, newDevelopment } from './development.ts';
import { withDeveloperTools } from './wrap-application.ts';

const TITLE = 'The application does not load';
const NOTE = 'This page reloads when you have saved a version that loads.';

/**
 * Responds to every request with the error of a version that does not load, so that none is refused.
 * @param globalConf of the server: it decides whether clients see the error, or only that there is one.
 * @param onPage as `withDeveloperTools` has it
 */
export function failureApp(
  error: Error,
  globalConf: Settings,
  { directory, development }: WorkerPlan,
  onPage: () => void,
): App {
  const text = error instanceof PasterError ? formatError(error) : `${error.name}: ${errorMessage(error)}`;
  const id = `${process.pid}-${Date.now()}`;
  const headers = { [ERROR_ID_HEADER]: id };
  if (hidesErrors(globalConf)) {
    return (_req, res) => sendPlainText(res, 500, { ...headers, 'cache-control': 'no-store' }, `${TITLE}.`);
  }
  const app: App = (req, res) => {
    const page = (): Promise<string> => {
      const polled = req.method === 'GET' ? id : undefined;
      return errorPage(error, { title: TITLE, note: NOTE, id: polled, directory, ...pageTools(req) });
    };
    const json = { name: error.name, message: text };
    return respondWithError(req, res, {
      status: 500,
      title: `${TITLE}.`,
      headers,
      more: { json, text: `\n${text}`, page },
    });
  };
  return withDeveloperTools(app, failedVersion(development ?? newDevelopment(), text), onPage);
}

/** The version of the error page: the same in all workers, and another one than that of the last version that loaded. */
function failedVersion({ secret, version }: Development, text: string): Development {
  if (version === undefined) return { secret };
  return { secret, version: `${version}-${createHash('sha256').update(text).digest('base64url').slice(0, 12)}` };
}
