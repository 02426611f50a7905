/** Writes records to standard output and standard error, and lets others observe what the application prints there. */

export type ConsoleStream = 'stdout' | 'stderr';

let isRecord = false;

export function writeRecord(stream: ConsoleStream, text: string): void {
  isRecord = true;
  try {
    process[stream].write(text);
  } finally {
    isRecord = false;
  }
}

/**
 * Calls back with everything that this process prints, except records, before it is written.
 * @returns a function that ends this
 */
export function tapConsole(name: ConsoleStream, onChunk: (chunk: Buffer) => void): () => void {
  const stream = process[name];
  const own = Object.getOwnPropertyDescriptor(stream, 'write');
  const { write } = stream;
  let isTapped = true;
  const tapped = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    if (isTapped && !isRecord) {
      const [encoding] = rest;
      const isText = typeof chunk === 'string';
      onChunk(isText ? Buffer.from(chunk, encodingOf(encoding)) : Buffer.from(chunk));
    }
    return Reflect.apply(write, stream, [chunk, ...rest]);
  };
  stream.write = tapped;
  return () => {
    isTapped = false;
    // The application may have replaced it meanwhile, and calls this one.
    if (stream.write !== tapped) return;
    if (own) Object.defineProperty(stream, 'write', own);
    else Reflect.deleteProperty(stream, 'write');
  };
}

function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8';
}
