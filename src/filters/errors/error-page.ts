/**
 * `npm:paster#error_page` (`egg:Paste#error_catcher`, `#evalerror`, `#cgitb`): responds when an application throws. A developer
 * gets a page with the error, its sources and the request; other clients get an id that is also in the log.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { resolve } from 'node:path';
import { debugFlags } from '../../config/debug.ts';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { bool, path, text } from '../../config/settings/setting-types.ts';
import { causesOf } from '../../diagnostics/error-frames.ts';
import { reportFailure } from '../../diagnostics/failure-reporter.ts';
import { errorMessage, errorStack } from '../../errors.ts';
import { fileInDirectory } from '../../files/existing-path.ts';
import { writeText } from '../../files/user-files.ts';
import { errorStream } from '../../gateway/error-stream.ts';
import { markShowsErrors, pageTools } from '../../http/error-page/developer-tools.ts';
import { catchErrors, clearResponse, type ErrorResponse, respondWithError } from '../../http/error-response.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { REQUEST_ID_HEADER, requestId } from '../../http/request-headers.ts';
import { printableLine, printableMessage } from '../../printable.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { toStandardError, type WriteLine } from '../logging/line-output.ts';

const MAIL = 'the program that watches the log can send mail';
const PAGE = 'the page shows enough of each source';

export const errorPageSettings = defineSettings(
  {
    debug: {
      type: bool,
      aliases: ['display'],
      help: 'Show errors to clients, with their sources and the request. Default: debug in [DEFAULT].',
    },
    error_message: { type: text, help: 'What the page says without debug.', example: 'We are looking into it.' },
    error_log: { type: path, help: 'A file to which errors are appended too.' },
    show_exceptions_in_wsgi_errors: {
      type: bool,
      default: false,
      help: 'Write errors into the web server’s log (behind FastCGI) instead of standard error.',
    },
  },
  {
    meaning: 'a page for errors: the error if debug is true, else an id in the log',
    obsolete: {
      error_email: MAIL,
      error_subject_prefix: MAIL,
      from_address: MAIL,
      smtp_server: MAIL,
      smtp_username: MAIL,
      smtp_password: MAIL,
      smtp_use_tls: MAIL,
      xmlhttp_key: 'the header Accept says whether the client accepts a page',
      logdir: 'error_log is a file',
      context: PAGE,
      format: 'the header Accept decides the format',
    },
  },
);

const STATUS = 500;
const TITLE = 'Internal Server Error';

/** Makes the filter of a `[filter:*]` section. */
export function makeErrorPage(globalConf: Settings, settings: SettingsOf<typeof errorPageSettings>): Filter {
  const { error_log: log } = settings;
  const here = globalConf['here'] ?? '';
  const debug = settings.debug ?? debugFlags(globalConf).serveTraceback;
  return errorPages(
    { ...settings, debug, error_log: log && fileInDirectory('error_log', log) },
    undefined,
    resolve(here),
  );
}
makeErrorPage.settings = errorPageSettings;
makeErrorPage.check = makeErrorPage;

/**
 * A filter that responds when an application throws. If the application's response has begun, its connection is closed instead,
 * and the error is logged.
 * @param options the settings of the INI file, typed. `debug` is false by default.
 * @param write gets the records, each of several lines. Default: standard error.
 * @param directory a directory of the project whose sources the page may show. Default: the working directory.
 */
export function errorPages(
  options: OptionsOf<typeof errorPageSettings> = {},
  write?: WriteLine,
  directory?: string,
): Filter {
  const settings = withDefaults(errorPageSettings, options);
  const { debug: isShown = false, error_log: file } = settings;

  function record(req: IncomingMessage, id: string, error: unknown): void {
    const title = `${req.method} ${withoutSecretParameters(req.url ?? '')} failed`;
    const entry = printableMessage(`error ${id}: ${title}: ${stackOf(error)}`);
    if (write) write(entry);
    else if (settings.show_exceptions_in_wsgi_errors) errorStream(req).write(`${entry}\n`);
    else if (!reportFailure(title, error)) toStandardError(entry);
    if (file === undefined) return;
    try {
      writeText(file, `${new Date().toISOString()} ${entry}\n`);
    } catch (cause) {
      toStandardError(`error_log: ${printableLine(errorMessage(cause))}`);
    }
  }

  async function respond(error: unknown, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const id = requestId(req);
    record(req, id, error);
    if (!clearResponse(res)) return;
    const common = { status: STATUS, title: TITLE, id, headers: { [REQUEST_ID_HEADER]: id } };
    if (!isShown) return respondWithError(req, res, { ...common, message: settings.error_message });
    try {
      await respondWithError(req, res, { ...common, more: developerResponse(error, req, directory) });
    } catch (cause) {
      record(req, id, new Error('the error page cannot be rendered', { cause }));
      await respondWithError(req, res, common);
    }
  }

  return (app) => (req, res) => {
    if (isShown) markShowsErrors(req);
    return catchErrors(app, req, res, (error) => respond(error, req, res));
  };
}

/**
 * A filter that shows a developer what an application throws, and throws it on: the server logs it as without this filter.
 * @param directory a directory of the project whose sources the page may show. Default: the working directory.
 */
export function showErrors(directory?: string): Filter {
  async function respond(error: unknown, req: IncomingMessage, res: ServerResponse): Promise<never> {
    if (!res.headersSent && clearResponse(res)) {
      const response = { status: STATUS, title: TITLE, more: developerResponse(error, req, directory) };
      await respondWithError(req, res, response).catch((cause: unknown) => {
        toStandardError(printableLine(`the error page cannot be rendered: ${errorMessage(cause)}`));
      });
    }
    throw error;
  }

  return (app) => (req, res) => {
    markShowsErrors(req);
    return catchErrors(app, req, res, (error) => respond(error, req, res));
  };
}

function developerResponse(
  error: unknown,
  req: IncomingMessage,
  directory?: string,
): NonNullable<ErrorResponse['more']> {
  const stack = stackOf(error);
  const message = errorMessage(error);
  return {
    json: { name: nameOf(error), message, stack: stack.split('\n') },
    text: `\n${stack}`,
    page: async () => {
      // Loaded only when they are needed, since that takes long.
      const { errorPage } = await import('../../http/error-page/error-page.ts');
      const { requestDetails } = await import('./request-details.ts');
      return errorPage(error, {
        title: requestLine(req),
        directory,
        details: requestDetails(req),
        ...pageTools(req),
      });
    },
  };
}

/** The stack of an error, and those of its causes. */
function stackOf(error: unknown): string {
  return causesOf(error).map(errorStack).join('\ncaused by: ');
}

function requestLine(req: MountedRequest): string {
  return `${req.method} ${withoutSecretParameters(req.originalUrl ?? req.url ?? '')}`;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
