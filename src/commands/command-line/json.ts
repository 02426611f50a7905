/**
 * Writes JSON with its members in the given order. A JavaScript object would move keys such as `8080` to the front, and
 * treat `__proto__` differently.
 */
import { printableJson } from '../../printable.ts';

/** A string, with control characters escaped so that it can be shown on a terminal. */
export function jsonText(text: string): string {
  return printableJson(JSON.stringify(text));
}

/** A document of plain data on several lines, with control characters escaped. */
export function jsonDocument(value: object): string {
  return printableJson(JSON.stringify(value, undefined, 2));
}

/** An object of members whose values are JSON already. */
export function jsonObject(members: readonly (readonly [key: string, json: string])[]): string {
  if (members.length === 0) return '{}';
  return `{\n${members.map(([key, json]) => indent(`${jsonText(key)}: ${json}`)).join(',\n')}\n}`;
}

/** An array of items that are JSON already. */
export function jsonArray(items: readonly string[]): string {
  return items.length === 0 ? '[]' : `[\n${items.map(indent).join(',\n')}\n]`;
}

function indent(json: string): string {
  return json.replace(/^/gm, '  ');
}

/** Any value of JSON; objects keep the order of JavaScript. */
export function jsonValue(value: unknown): string {
  if (typeof value === 'string') return jsonText(value);
  if (Array.isArray(value)) return jsonArray(value.map(jsonValue));
  return printableJson(JSON.stringify(value) ?? 'null');
}
