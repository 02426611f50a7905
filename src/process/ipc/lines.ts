/** Messages as lines of JSON, for sockets and pipes between processes. */
import type { Socket } from 'node:net';

export function lineOf(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** Undefined for a line that is no JSON. */
export function readLine<T>(line: string): T | undefined {
  try {
    return JSON.parse(line) as T;
  } catch {
    return undefined;
  }
}

/** Calls back with each line that a socket receives, at a cost that is linear in its length. */
export class LineReader {
  onLine: (line: string) => void = () => {};
  #parts: string[] = [];
  #length = 0;

  /** @param longest characters of a line: a socket that sends more is closed */
  constructor(socket: Socket, longest: number) {
    socket.setEncoding('utf8').on('data', (more: string) => {
      const [first = '', ...others] = more.split('\n');
      this.#add(first);
      for (const next of others) {
        const line = this.#parts.join('');
        this.#parts = [];
        this.#length = 0;
        this.#add(next);
        this.onLine(line);
      }
      if (this.#length > longest) socket.destroy();
    });
  }

  #add(part: string): void {
    this.#parts.push(part);
    this.#length += part.length;
  }
}
