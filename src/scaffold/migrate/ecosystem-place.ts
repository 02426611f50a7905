/** Finds a value of an ecosystem file in its text: the file is code, whose values have no places. */
import type { Location } from '../../errors.ts';
import { readableText } from '../../files/existing-path.ts';

/**
 * @param keys under which the value may be written
 * @returns where the value is written, or else the beginning of the file: code may have computed it
 */
export function placeOfValue(file: string, keys: readonly string[], value: string): Location {
  const text = readableText(file) ?? '';
  const literal = value.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  const [written] = keys.flatMap((key) => {
    const match = new RegExp(`(?<![\\w$])${key}['"]?[ \\t]*:[ \\t]*(['"\`]?)(?=${literal}(?!\\w))`).exec(text);
    return match ? match.index + match[0].length - (match[1]?.length ?? 0) : [];
  });
  const before = text.slice(0, written ?? Math.max(0, text.indexOf(value))).split('\n');
  return { file, line: before.length, column: (before.at(-1) ?? '').length + 1 };
}
