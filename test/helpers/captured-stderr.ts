/**
 * Captures standard error of the programs under test that run in the test runner's own process, and shows it like the output
 * of `console`, with the test that it belongs to, if that test fails.
 */
type Write = typeof process.stderr.write;

const write: Write = (
  chunk: string | Uint8Array,
  encoding?: BufferEncoding | ((error?: Error | null) => void),
  callback?: (error?: Error | null) => void,
): boolean => {
  const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
  // biome-ignore lint/suspicious/noConsole: the test runner's own, which belongs to a test
  console.error(text.replace(/\n$/, ''));
  const done = typeof encoding === 'function' ? encoding : callback;
  if (done) process.nextTick(done);
  return true;
};

process.stderr.write = write;
