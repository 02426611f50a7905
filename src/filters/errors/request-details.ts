/** What the error page shows of a request, without secrets. */
import type { IncomingMessage } from 'node:http';
import { environFromRequest } from '../../gateway/environ.ts';
import type { ErrorDetails } from '../../http/error-page/error-page.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { requestId } from '../../http/request-headers.ts';
import { ownVersion } from '../../own-files.ts';
import { shownValue } from '../../secrets.ts';
import { workingDirectory } from '../../working-directory.ts';

type Row = readonly [name: string, value: string];

/** Longer values are cut off. */
const LONGEST_VALUE = 2000;

/** The request line with the id, the headers, the CGI environment, and the process. */
export function requestDetails(req: MountedRequest): ErrorDetails {
  const { method = '', url = '', originalUrl = url, baseUrl = '' } = req;
  return {
    Request: {
      'Request line': rows([
        ['method', method],
        ['url', originalUrl],
        ...(baseUrl === '' ? [] : ([['mounted at', baseUrl]] satisfies Row[])),
        ['protocol', `HTTP/${req.httpVersion}`],
        ['id', requestId(req)],
      ]),
      Headers: rows(headersOf(req)),
    },
    Environment: {
      CGI: rows(Object.entries(req.environ ?? environFromRequest(req)).filter(([name]) => !name.startsWith('HTTP_'))),
      Process: rows([
        ['paster', ownVersion()],
        ['node', process.version],
        ['pid', String(process.pid)],
        ['directory', workingDirectory()],
        ['memory', `${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`],
      ]),
    },
  };
}

/** The headers as the client wrote them. A name may come several times. */
function headersOf({ rawHeaders }: IncomingMessage): Row[] {
  const headers: Row[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    headers.push([rawHeaders[index] ?? '', rawHeaders[index + 1] ?? '']);
  }
  return headers;
}

function rows(values: readonly Row[]): Row[] {
  return values.map(([name, value]) => {
    const shown = shownValue(name, value);
    return [name, shown.length > LONGEST_VALUE ? `${shown.slice(0, LONGEST_VALUE)}...` : shown];
  });
}
