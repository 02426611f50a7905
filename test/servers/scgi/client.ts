/**
 * An SCGI client for tests, in the role of the web server: it writes exactly the bytes that a test specifies and reads to the end.
 * It shares no code with the server.
 */
import { connect, type Socket } from 'node:net';
import { type CgiResponse, parseCgi } from '../../helpers/requests/cgi-response.ts';
import { isList, type Variables } from '../../helpers/requests/environ.ts';

export function netstring(content: string): Buffer {
  const bytes = Buffer.from(content, 'latin1');
  return Buffer.concat([Buffer.from(`${bytes.length}:`), bytes, Buffer.from(',')]);
}

/** A head of exactly these variables. */
export function head(variables: Variables): Buffer {
  const all = isList(variables) ? variables : Object.entries(variables);
  return netstring(all.map(([name, value]) => `${name}\0${value}\0`).join(''));
}

/** A complete request, like that of nginx with its stock scgi_params. `environ` overrides the variables of an ordinary GET. */
export function request(environ: Readonly<Record<string, string>> = {}, body: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(body as string);
  return Buffer.concat([
    head({
      CONTENT_LENGTH: String(bytes.length),
      REQUEST_METHOD: 'GET',
      REQUEST_URI: '/',
      QUERY_STRING: '',
      CONTENT_TYPE: '',
      SCGI: '1',
      SERVER_PROTOCOL: 'HTTP/1.1',
      REMOTE_ADDR: '192.0.2.7',
      REMOTE_PORT: '50000',
      SERVER_PORT: '80',
      HTTP_HOST: 'example.test',
      ...environ,
    }),
    bytes,
  ]);
}

export interface Answer extends CgiResponse {
  readonly bytes: Buffer;
  /** Whether the connection ended like one with a complete response. */
  readonly complete: boolean;
}

export class ScgiClient {
  readonly socket: Socket;
  /** Settles when the server has closed or reset the connection. */
  readonly closed: Promise<void>;
  #received: Buffer[] = [];
  #ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => this.#received.push(bytes));
    socket.on('end', () => {
      this.#ended = true;
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.on('close', () => resolve()));
  }

  static async connect(to: string | number): Promise<ScgiClient> {
    const socket = typeof to === 'string' ? connect(to) : connect(to, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('error', reject);
    });
    socket.setNoDelay(true);
    return new ScgiClient(socket);
  }

  write(...bytes: Buffer[]): boolean {
    return this.socket.write(Buffer.concat(bytes));
  }

  close(): void {
    this.socket.destroy();
  }

  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** Everything received, once the server has closed the connection. */
  async answer(): Promise<Answer> {
    await this.closed;
    const bytes = this.received;
    const parsed = parseCgi(bytes);
    return { ...parsed, bytes, complete: this.#ended && parsed.status !== 0 };
  }

  async ask(...args: Parameters<typeof request>): Promise<Answer> {
    this.write(request(...args));
    return await this.answer();
  }
}
