/**
 * How paster uses what Node has and does not document: each use makes something faster, or possible at all. ARCHITECTURE.md lists
 * all with the reason, the gain and what serves instead.
 *
 * Each is tested once, when it is first needed, for what it does. If the test fails, its function returns undefined or takes the
 * public way, with the same result. `PASTER_WITHOUT_INTERNALS` makes tests fail: names separated by commas, or `all`.
 */

/** Tests of parts of Node, by the names that `PASTER_WITHOUT_INTERNALS` has for them. */
type TestName = 'read' | 'write' | 'accept' | 'handle' | 'listen' | 'request' | 'head' | 'end';

/** A function that runs a test at its first call. An error, like undefined, means that the public way has to serve. */
export function testOnce<T>(name: TestName, test: () => T | undefined): () => T | undefined {
  let result: { readonly value: T | undefined } | undefined;
  const run = (): T | undefined => {
    if (isSwitchedOff(name)) return undefined;
    try {
      return test();
    } catch {
      return undefined;
    }
  };
  return () => {
    result ??= { value: run() };
    return result.value;
  };
}

function isSwitchedOff(name: TestName): boolean {
  const names = process.env['PASTER_WITHOUT_INTERNALS']?.split(',') ?? [];
  return names.includes(name) || names.includes('all');
}

export function symbolsOf(target: object): (name: string) => symbol | undefined {
  const symbols = Object.getOwnPropertySymbols(target);
  return (name) => symbols.find(({ description }) => description === name);
}
