/**
 * JSON written in the order it is given: an object of JavaScript would move keys such as `8080` to the front and take
 * `__proto__` for something else.
 */

// What a terminal acts upon, beyond what JSON.stringify escapes already. Line feeds stand between the members alone.
const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** A string; control characters are escaped, so that it can be shown on a terminal. */
export function jsonText(text: string): string {
  return escapeUnprintable(JSON.stringify(text));
}

/** A whole document of plain data, on as many lines as it takes, and as fit to be shown. */
export function jsonDocument(value: object): string {
  return escapeUnprintable(JSON.stringify(value, undefined, 2));
}

/** An object with these members, whose values are JSON already. */
export function jsonObject(members: readonly (readonly [key: string, json: string])[]): string {
  if (members.length === 0) return '{}';
  return `{\n${members.map(([key, json]) => indent(`${jsonText(key)}: ${json}`)).join(',\n')}\n}`;
}

/** An array of these items, which are JSON already. */
export function jsonArray(items: readonly string[]): string {
  return items.length === 0 ? '[]' : `[\n${items.map(indent).join(',\n')}\n]`;
}

function indent(json: string): string {
  return json.replace(/^/gm, '  ');
}

function escapeUnprintable(json: string): string {
  return json.replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, index) => escapeUnit(character.charCodeAt(index))).join(''),
  );
}

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}

/** Any value that JSON can hold, without regard to the order of keys. */
export function jsonValue(value: unknown): string {
  if (typeof value === 'string') return jsonText(value);
  if (Array.isArray(value)) return jsonArray(value.map(jsonValue));
  return JSON.stringify(value) ?? 'null';
}
