/** `npm:paster#printdebug` (`egg:Paste#printdebug`): prints each request and the head of its answer, and changes neither. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings } from '../config/setting.ts';
import { type HeaderPairs, headersGiven } from '../http/head-parameters.ts';
import type { MountedRequest } from '../http/mount.ts';
import { statusText } from '../http/status-text.ts';
import { printableLine } from '../printable.ts';
import type { Filter } from '../protocol/types.ts';
import { shownValue, withoutSecretParameters } from '../secrets.ts';
import { toStandardError, type WriteLine } from './line-output.ts';

const NOT_INTO_PAGES = 'what is printed goes to standard error and into no page';

export const printdebugSettings = defineSettings(
  {},
  {
    meaning: 'prints requests and the heads of their answers',
    obsolete: {
      force_content_type: NOT_INTO_PAGES,
      print_wsgi_errors: NOT_INTO_PAGES,
      replace_stdout: NOT_INTO_PAGES,
    },
  },
);

/** Makes the filter of a `[filter:*]` section. */
export function makePrintdebug(): Filter {
  return printDebug();
}
makePrintdebug.settings = printdebugSettings;

/**
 * A filter that prints request lines, headers and the heads of answers, without secrets. What the application prints
 * between the two stands between the two, as long as there is one request at a time.
 * @param write takes the lines in place of standard error.
 */
export function printDebug(write: WriteLine = toStandardError): Filter {
  let count = 0;
  return (app) => (req, res) => {
    const id = ++count;
    const start = performance.now();
    const say = (mark: string, lines: readonly string[]): void => {
      for (const line of lines) write(printableLine(`${mark} ${id} ${line}`));
    };
    say('>', requestLines(req));
    const given = watchHead(res);
    res.once('close', () => {
      const end = res.writableEnded ? '' : ', not ended';
      say('<', [...answerLines(res, given), `(${(performance.now() - start).toFixed(1)} ms${end})`]);
    });
    return app(req, res);
  };
}

function requestLines(req: IncomingMessage): string[] {
  const { method, url = '', httpVersion, rawHeaders } = req;
  const { baseUrl } = req as MountedRequest;
  const lines = [`${method} ${withoutSecretParameters(url)} HTTP/${httpVersion}`];
  if (baseUrl) lines.push(`(mounted at ${baseUrl})`);
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    lines.push(`${name}: ${shownValue(name, rawHeaders[index + 1] ?? '')}`);
  }
  return lines;
}

/** Where a head is given to `writeHead`, Node keeps it nowhere else. */
function watchHead(res: ServerResponse): HeaderPairs {
  const given: HeaderPairs = [];
  const { writeHead } = res;
  res.writeHead = ((status: number, ...rest: unknown[]) => {
    given.push(...headersGiven(rest));
    return Reflect.apply(writeHead, res, [status, ...rest]);
  }) as ServerResponse['writeHead'];
  return given;
}

function answerLines(res: ServerResponse, given: HeaderPairs): string[] {
  if (!res.headersSent) return ['no answer'];
  const { statusCode } = res;
  const statusMessage = res.req.httpVersionMajor < 2 ? res.statusMessage : '';
  const lines = [`${statusCode} ${statusMessage || statusText(statusCode)}`];
  const names = new Set(given.map(([name]) => name.toLowerCase()));
  const set = Object.entries(res.getHeaders()).filter(([name]) => !names.has(name));
  for (const [name, value] of [...set, ...given]) {
    for (const each of [value].flat()) lines.push(`${name}: ${shownValue(name, String(each))}`);
  }
  return lines;
}
