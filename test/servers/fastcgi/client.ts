/**
 * A FastCGI client for tests, in the role of the web server: it writes exactly the records that a test specifies and reads
 * the responses without interpreting more than the specification requires. It shares no code with the server, so that
 * an error in the codec is detected.
 */
import { connect, type Socket } from 'node:net';
import { type CgiResponse, parseCgi } from '../../helpers/requests/cgi-response.ts';
import { isList, type Variables } from '../../helpers/requests/environ.ts';

export interface ClientRecord {
  readonly type: number;
  readonly id: number;
  readonly content: Buffer;
}

export const TYPE = {
  begin: 1,
  abort: 2,
  end: 3,
  params: 4,
  stdin: 5,
  stdout: 6,
  stderr: 7,
  data: 8,
  getValues: 9,
  getValuesResult: 10,
  unknownType: 11,
} as const;

/** The bytes of a record, with padding of any content. */
export function record(type: number, id: number, content: Buffer | string = '', padding = 0): Buffer {
  const body = Buffer.from(content as string, 'latin1');
  const header = Buffer.from([1, type, id >> 8, id & 255, body.length >> 8, body.length & 255, padding, 0]);
  return Buffer.concat([header, body, Buffer.alloc(padding, 0x2a)]);
}

export function begin(id: number, { role = 1, keep = true } = {}): Buffer {
  return record(TYPE.begin, id, Buffer.from([role >> 8, role & 255, keep ? 1 : 0, 0, 0, 0, 0, 0]));
}

/** A name-value pair of section 3.4. */
export function pair(name: string, value: string): Buffer {
  const length = (n: number): Buffer =>
    n < 128 ? Buffer.from([n]) : Buffer.from([(n >>> 24) | 0x80, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
  const [nameBytes, valueBytes] = [Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1')];
  return Buffer.concat([length(nameBytes.length), length(valueBytes.length), nameBytes, valueBytes]);
}

export function pairs(values: Variables): Buffer {
  return Buffer.concat((isList(values) ? values : Object.entries(values)).map(([name, value]) => pair(name, value)));
}

/** Bytes as records of a stream, without the empty record at its end. */
export function stream(type: number, id: number, bytes: Buffer, size = 65_535): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) records.push(record(type, id, bytes.subarray(at, at + size)));
  return Buffer.concat(records);
}

/** A complete request. `environ` overrides the variables of an ordinary GET. */
export function request(
  id: number,
  environ: Variables = {},
  { body = '', role = 1, keep = true }: { body?: Buffer | string; role?: number; keep?: boolean } = {},
): Buffer {
  const bytes = Buffer.from(body as string);
  const all = isList(environ)
    ? environ
    : Object.entries({
        REQUEST_METHOD: 'GET',
        REQUEST_URI: '/',
        SCRIPT_NAME: '/',
        QUERY_STRING: '',
        CONTENT_LENGTH: bytes.length > 0 ? String(bytes.length) : '',
        CONTENT_TYPE: '',
        SERVER_PROTOCOL: 'HTTP/1.1',
        SERVER_SOFTWARE: 'nginx/1.22.1',
        REMOTE_ADDR: '192.0.2.7',
        REMOTE_PORT: '50000',
        SERVER_ADDR: '192.0.2.1',
        SERVER_PORT: '80',
        HTTP_HOST: 'example.test',
        ...environ,
      });
  return Buffer.concat([
    begin(id, { role, keep }),
    stream(TYPE.params, id, pairs(all)),
    record(TYPE.params, id),
    ...(role === 2 ? [] : [stream(TYPE.stdin, id, bytes), record(TYPE.stdin, id)]),
  ]);
}

/** The response to one request id. */
export interface Answer extends CgiResponse {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** Undefined: the connection closed without END_REQUEST. */
  readonly end: { readonly appStatus: number; readonly protocolStatus: number } | undefined;
}

export class FastcgiClient {
  readonly socket: Socket;
  readonly records: ClientRecord[] = [];
  /** Settles when the server has closed the connection. */
  readonly closed: Promise<void>;
  isClosed = false;
  #pending: Buffer = Buffer.alloc(0);
  readonly #waiting = new Set<() => void>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.isClosed = true;
        this.#wake();
        resolve();
      });
    });
  }

  static async connect(to: string | number): Promise<FastcgiClient> {
    const socket = typeof to === 'string' ? connect(to) : connect(to, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('error', reject);
    });
    return new FastcgiClient(socket);
  }

  write(...bytes: Buffer[]): boolean {
    return this.socket.write(Buffer.concat(bytes));
  }

  close(): void {
    this.socket.destroy();
  }

  #read(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    let at = 0;
    while (this.#pending.length - at >= 8) {
      const header = this.#pending.subarray(at, at + 8);
      const length = header.readUInt16BE(4);
      const whole = 8 + length + (header[6] ?? 0);
      if (this.#pending.length - at < whole) break;
      if (header[0] !== 1) throw new Error(`record version ${header[0]} from the server`);
      this.records.push({
        type: header[1] ?? 0,
        id: header.readUInt16BE(2),
        content: Buffer.from(this.#pending.subarray(at + 8, at + 8 + length)),
      });
      at += whole;
    }
    this.#pending = this.#pending.subarray(at);
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Waits until `found` returns a value or the connection is closed; then returns its value. */
  async until<T>(found: () => T | undefined, timeout = 5000): Promise<T | undefined> {
    for (;;) {
      const value = found();
      if (value !== undefined || this.isClosed) return value;
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          this.#waiting.delete(wake);
          reject(new Error(`nothing from the server in ${timeout} ms; had ${JSON.stringify(this.records.slice(-5))}`));
        }, timeout);
        const wake = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** The next record of this type that is not part of a response read before. */
  async record(type: number, timeout?: number): Promise<ClientRecord | undefined> {
    return await this.until(() => this.records.find((each) => each.type === type), timeout);
  }

  /** The response for an id: up to its END_REQUEST, or to the end of the connection. Its records are removed. */
  async answer(id: number, timeout?: number): Promise<Answer> {
    const endRecord = await this.until(
      () => this.records.find((each) => each.type === TYPE.end && each.id === id),
      timeout,
    );
    const mine: ClientRecord[] = [];
    for (let i = 0; i < this.records.length; ) {
      const each = this.records[i] as ClientRecord;
      if (each.id !== id) {
        i++;
        continue;
      }
      mine.push(each);
      this.records.splice(i, 1);
      if (each === endRecord) break;
    }
    const content = (type: number): Buffer =>
      Buffer.concat(mine.filter((each) => each.type === type).map((each) => each.content));
    const end =
      endRecord === undefined
        ? undefined
        : { appStatus: endRecord.content.readUInt32BE(0), protocolStatus: endRecord.content[4] ?? -1 };
    return { stdout: content(TYPE.stdout), stderr: content(TYPE.stderr), end, ...parseCgi(content(TYPE.stdout)) };
  }

  /** Sends a request and waits for its response. */
  async ask(id: number, ...args: DropFirst<Parameters<typeof request>>): Promise<Answer> {
    this.write(request(id, ...args));
    return await this.answer(id);
  }
}

type DropFirst<T extends readonly unknown[]> = T extends readonly [unknown, ...infer Rest] ? Rest : never;
