/** CGI variables that a test sends. */

/** Variables by name, or as a list if order or repetition matters. */
export type Variables = Readonly<Record<string, string>> | readonly (readonly [string, string])[];

export function isList(values: Variables): values is readonly (readonly [string, string])[] {
  return Array.isArray(values);
}
