/** What a web server reads from a CGI program: the head and body of the response (RFC 3875 section 6). */

export interface CgiResponse {
  /** 0 if the head is incomplete. */
  readonly status: number;
  readonly rawHeaders: string[];
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

export function parseCgi(stdout: Buffer): CgiResponse {
  const end = stdout.indexOf('\r\n\r\n');
  if (end === -1) return { status: 0, rawHeaders: [], headers: {}, body: Buffer.alloc(0) };
  const rawHeaders: string[] = [];
  const headers: Record<string, string> = Object.create(null);
  let status = 200;
  for (const line of stdout.subarray(0, end).toString('latin1').split('\r\n')) {
    const colon = line.indexOf(':');
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
    if (name.toLowerCase() === 'status') {
      status = Number.parseInt(value, 10);
      continue;
    }
    rawHeaders.push(name, value);
    const key = name.toLowerCase();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  return { status, rawHeaders, headers, body: stdout.subarray(end + 4) };
}
