/** The CGI variables that nginx, with its stock parameters, makes of a request. */
import { percentDecode } from '../../../src/http/url-path.ts';
import type { ContractRequest } from './backend.ts';

export interface Convention {
  /** The CONTENT_LENGTH of a request without a body. */
  readonly withoutBody: '' | '0';
  /** The path below the program becomes PATH_INFO; without it, the whole path is SCRIPT_NAME. */
  readonly splits: boolean;
}

export function environ(
  { method = 'GET', path = '/', headers = {}, body, declaredLength }: ContractRequest,
  { withoutBody, splits }: Convention,
): [string, string][] {
  const [script = '', query = ''] = path.split(/\?(.*)/s);
  const decoded = percentDecode(script);
  const length = declaredLength ?? body?.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
  const variables: [string, string][] = [
    // SCGI requires it to be first.
    ['CONTENT_LENGTH', length === undefined ? withoutBody : String(length)],
    ['QUERY_STRING', query],
    ['REQUEST_METHOD', method],
    ['CONTENT_TYPE', contentType(headers)],
    ['SCRIPT_NAME', splits ? '' : decoded],
    ...(splits ? [['PATH_INFO', decoded] as [string, string]] : []),
    ['REQUEST_URI', path],
    ['SERVER_PROTOCOL', 'HTTP/1.1'],
    ['SERVER_SOFTWARE', 'nginx/1.22.1'],
    ['REMOTE_ADDR', '127.0.0.1'],
    ['REMOTE_PORT', '40000'],
    ['SERVER_ADDR', '127.0.0.1'],
    ['SERVER_PORT', '80'],
    ['HTTP_HOST', '127.0.0.1'],
  ];
  for (const [name, values] of Object.entries(headers)) {
    for (const value of typeof values === 'string' ? [values] : values) {
      variables.push([`HTTP_${name.replaceAll('-', '_').toUpperCase()}`, value]);
    }
  }
  return variables;
}

/** The first Content-Type, like nginx's $content_type. */
function contentType(headers: NonNullable<ContractRequest['headers']>): string {
  const values = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? '';
  return typeof values === 'string' ? values : (values[0] ?? '');
}
