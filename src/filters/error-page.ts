/**
 * `npm:paster#error_page` (`egg:Paste#error_catcher`, `#evalerror`, `#cgitb`): answers for an application that throws.
 * To a developer, with the error, its sources and the request; to everybody else with a number that the log has too.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { resolve } from 'node:path';
import { debugFlags } from '../config/debug.ts';
import { fileInDirectory } from '../config/existing-path.ts';
import { bool, defineSettings, type OptionsOf, path, type SettingsOf, text, withDefaults } from '../config/setting.ts';
import { errorMessage, errorStack } from '../errors.ts';
import { errorStream } from '../gateway/error-stream.ts';
import { answerError, type ErrorAnswer } from '../http/error-answer.ts';
import { type ErrorDetails, errorPage } from '../http/error-page.ts';
import { catching, clearAnswer } from '../http/failure.ts';
import { REQUEST_ID_HEADER, requestId } from '../http/request-id.ts';
import { printableLine, printableMessage } from '../printable.ts';
import type { Filter, Settings } from '../protocol/types.ts';
import { withoutSecretParameters } from '../secrets.ts';
import { writeText } from '../user-files.ts';
import { toStandardError, type WriteLine } from './line-output.ts';

const MAIL = 'mail is the business of whoever watches the log';
const PAGE = 'the page shows enough of each source';

export const errorPageSettings = defineSettings(
  {
    debug: {
      type: bool,
      aliases: ['display'],
      help: 'Show errors to clients, with sources and request; without it, as debug in [DEFAULT] says.',
    },
    error_message: { type: text, help: 'What the page says without debug.', example: 'We are looking into it.' },
    error_log: { type: path, help: 'A file that errors are added to besides.' },
    show_exceptions_in_wsgi_errors: {
      type: bool,
      default: false,
      help: 'Write errors into the web server’s log (behind FastCGI) in place of standard error.',
    },
  },
  {
    meaning: 'a page for errors: all there is to know with debug, else a number',
    obsolete: {
      error_email: MAIL,
      error_subject_prefix: MAIL,
      from_address: MAIL,
      smtp_server: MAIL,
      smtp_username: MAIL,
      smtp_password: MAIL,
      smtp_use_tls: MAIL,
      xmlhttp_key: 'the header Accept says who wants a page',
      logdir: 'error_log is a file',
      context: PAGE,
      format: 'the header Accept says it',
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
 * A filter that answers for an application that throws. Once an answer has begun, nothing can be added to it: its
 * connection is broken, and the log says why.
 * @param options the settings of the INI file, typed; `debug` is false unless it is said.
 * @param write takes the records in place of standard error, each of several lines.
 * @param directory a directory of the project, whose sources the page may show. Default: the working directory.
 */
export function errorPages(
  options: OptionsOf<typeof errorPageSettings> = {},
  write?: WriteLine,
  directory?: string,
): Filter {
  const settings = withDefaults(errorPageSettings, options);
  const { debug: isShown = false, error_log: file } = settings;

  function record(req: IncomingMessage, id: string, error: unknown): void {
    const entry = printableMessage(
      `error ${id}: ${req.method} ${withoutSecretParameters(req.url ?? '')} failed: ${stackOf(error)}`,
    );
    if (write) write(entry);
    else if (settings.show_exceptions_in_wsgi_errors) errorStream(req).write(`${entry}\n`);
    else toStandardError(entry);
    if (file === undefined) return;
    try {
      writeText(file, `${new Date().toISOString()} ${entry}\n`);
    } catch (cause) {
      toStandardError(`error_log: ${printableLine(errorMessage(cause))}`);
    }
  }

  async function answer(error: unknown, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const id = requestId(req);
    record(req, id, error);
    if (!clearAnswer(res)) return;
    const common = { status: STATUS, title: TITLE, id, headers: { [REQUEST_ID_HEADER]: id } };
    if (!isShown) return answerError(req, res, { ...common, message: settings.error_message });
    try {
      await answerError(req, res, { ...common, more: whatIsKnown(error, req, directory) });
    } catch (cause) {
      record(req, id, new Error('the error page cannot be drawn', { cause }));
      await answerError(req, res, common);
    }
  }

  return (app) => (req, res) => catching(app, req, res, (error) => answer(error, req, res));
}
function whatIsKnown(error: unknown, req: IncomingMessage, directory?: string): NonNullable<ErrorAnswer['more']> {
  const stack = stackOf(error);
  const message = errorMessage(error);
  return {
    json: { name: nameOf(error), message, stack: stack.split('\n') },
    text: `\n${stack}`,
    page: async () => {
      // Needed once in a while, and dear to load.
      const { requestDetails } = await import('./request-details.ts');
      return errorPage(error, { title: TITLE, directory, details: { ...causesOf(error), ...requestDetails(req) } });
    },
  };
}

const MAX_CAUSES = 8;

/** An error and its causes. */
function chainOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  let each = error;
  do {
    chain.push(each);
    each = each instanceof Error ? each.cause : undefined;
  } while (each !== undefined && chain.length < MAX_CAUSES);
  return chain;
}

/** The stack of an error, and those of its causes. */
function stackOf(error: unknown): string {
  return chainOf(error).map(errorStack).join('\ncaused by: ');
}

/** What the page says of the causes; their places are in its stack. */
function causesOf(error: unknown): ErrorDetails {
  const rows = chainOf(error)
    .slice(1)
    .map((cause) => [nameOf(cause), errorMessage(cause)] as const);
  return rows.length > 0 ? { 'Caused by': { Errors: rows } } : {};
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
