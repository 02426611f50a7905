/** Texts that are made again and again of the same few values: what the last ones gave is kept, since to compare costs next to nothing. */

/** As many values as a text may be made of. */
type Values = readonly [unknown?, unknown?, unknown?, unknown?, unknown?];

/** The same as `make`, which is called only where one of the values is not that of the last call. */
export function likeLast<V extends Values>(make: (...values: V) => string): (...values: V) => string;
export function likeLast(make: (...values: unknown[]) => string): (...values: unknown[]) => string {
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
