/** The last result of a function is kept, for texts that are made of the same few values again and again. */

/** The arguments that such a function may have. */
type Values = readonly [unknown?, unknown?, unknown?, unknown?, unknown?];

/** Returns what `make` returns, and calls it only if an argument differs from the one of the last call. */
export function memoizeLast<V extends Values>(make: (...values: V) => string): (...values: V) => string;
export function memoizeLast(make: (...values: unknown[]) => string): (...values: unknown[]) => string {
  let one: unknown;
  let two: unknown;
  let three: unknown;
  let four: unknown;
  let five: unknown;
  let text: string | undefined;
  return (a?: unknown, b?: unknown, c?: unknown, d?: unknown, e?: unknown) => {
    if (text === undefined || a !== one || b !== two || c !== three || d !== four || e !== five) {
      [one, two, three, four, five] = [a, b, c, d, e];
      text = make(a, b, c, d, e);
    }
    return text;
  };
}
