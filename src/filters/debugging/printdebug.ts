/** `npm:paster#printdebug` (`egg:Paste#printdebug`): prints each request and the head of its response, and changes neither. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings } from '../../config/settings/setting.ts';
import { statusText } from '../../http/error-response.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { type HeaderPairs, headersGiven } from '../../http/response/header-lists.ts';
import { interceptResponse } from '../../http/response/response-interceptor.ts';
import { printableLine } from '../../printable.ts';
import type { Filter } from '../../protocol/types.ts';
import { shownValue, withoutSecretParameters } from '../../secrets.ts';
import { toStandardError, type WriteLine } from '../logging/line-output.ts';

const NOT_IN_PAGES = 'the filter prints to standard error, not into pages';

export const printdebugSettings = defineSettings(
  {},
  {
    meaning: 'prints requests and the heads of their responses',
    obsolete: {
      force_content_type: NOT_IN_PAGES,
      print_wsgi_errors: NOT_IN_PAGES,
      replace_stdout: NOT_IN_PAGES,
    },
  },
);

/** Makes the filter of a `[filter:*]` section. */
export function makePrintdebug(): Filter {
  return printDebug();
}
makePrintdebug.settings = printdebugSettings;

/**
 * A filter that prints request lines, headers and the heads of responses, without secrets. With one request at a time, what
 * the application prints appears between the request and the response.
 * @param write gets the lines. Default: standard error.
 */
export function printDebug(write: WriteLine = toStandardError): Filter {
  let count = 0;
  return (app) => (req, res) => {
    const id = ++count;
    const start = performance.now();
    const print = (mark: string, lines: readonly string[]): void => {
      for (const line of lines) write(printableLine(`${mark} ${id} ${line}`));
    };
    print('>', requestHeadLines(req));
    let written: HeaderPairs = [];
    // Node does not store the headers passed to `writeHead`.
    interceptResponse(res, {
      onHead(_status, parameters) {
        written = headersGiven(parameters);
        return true;
      },
    });
    res.once('close', () => {
      const end = res.writableEnded ? '' : ', not ended';
      print('<', [...responseHeadLines(res, written), `(${(performance.now() - start).toFixed(1)} ms${end})`]);
    });
    return app(req, res);
  };
}

function requestHeadLines(req: IncomingMessage): string[] {
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

function responseHeadLines(res: ServerResponse, written: HeaderPairs): string[] {
  if (!res.headersSent) return ['no response'];
  const { statusCode } = res;
  const statusMessage = res.req.httpVersionMajor < 2 ? res.statusMessage : '';
  const lines = [`${statusCode} ${statusMessage || statusText(statusCode)}`];
  const names = new Set(written.map(([name]) => name.toLowerCase()));
  const set = Object.entries(res.getHeaders()).filter(([name]) => !names.has(name));
  for (const [name, value] of [...set, ...written]) {
    for (const each of [value].flat()) lines.push(`${name}: ${shownValue(name, String(each))}`);
  }
  return lines;
}
