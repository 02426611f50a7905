/** Texts that are made again and again of the same few values: what the last one gave is kept, since to compare costs next to nothing. */

/** The same as `make`, which is called only where the value is not that of the last call. */
export function likeLast<T>(make: (value: T) => string): (value: T) => string {
  let last: { readonly value: T; readonly text: string } | undefined;
  return (value) => {
    if (last === undefined || last.value !== value) last = { value, text: make(value) };
    return last.text;
  };
}
