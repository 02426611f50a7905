/**
 * JSON written in the order it is given: an object of JavaScript would move keys such as `8080` to the front and take
 * `__proto__` for something else.
 */
import { printableJson } from '../printable.ts';

/** A string; control characters are escaped, so that it can be shown on a terminal. */
export function jsonText(text: string): string {
  return printableJson(JSON.stringify(text));
}

/** A whole document of plain data, on as many lines as it takes, and as fit to be shown. */
export function jsonDocument(value: object): string {
  return printableJson(JSON.stringify(value, undefined, 2));
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

/** Any value that JSON can hold, without regard to the order of keys. */
export function jsonValue(value: unknown): string {
  if (typeof value === 'string') return jsonText(value);
  if (Array.isArray(value)) return jsonArray(value.map(jsonValue));
  return printableJson(JSON.stringify(value) ?? 'null');
}
