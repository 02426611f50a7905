/**
 * Tests an undocumented part of Node before paster uses it. Each such part makes something faster, or possible at all.
 * ARCHITECTURE.md lists all of them with the reason, the gain and what paster uses instead.
 *
 * A test checks the behavior of one part, once, when it is first needed. If the test fails, the function that needs the part
 * returns undefined or uses Node's public interface with the same result. `PASTER_WITHOUT_INTERNALS` makes tests fail: names
 * separated by commas, or `all`.
 */

/** Tests of parts of Node, by the names that `PASTER_WITHOUT_INTERNALS` has for them. */
type TestName = 'read' | 'write' | 'accept' | 'handle' | 'listen' | 'request' | 'head' | 'end';

/** A function that runs a test at its first call. If the test throws or returns undefined, this Node lacks the part. */
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

/** Finds the symbols among the keys of an object by their descriptions. */
export function symbolsOf(target: object): (name: string) => symbol | undefined {
  const symbols = Object.getOwnPropertySymbols(target);
  return (name) => symbols.find(({ description }) => description === name);
}
