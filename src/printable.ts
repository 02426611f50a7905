/** Makes text from a file or a peer safe for a terminal. */

// Control characters except the line feed, and characters that break lines or change the direction of text.
const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** As `printable`, on one line, since even the name of a file may contain a line feed. */
export function printableLine(text: string): string {
  return printable(text).replaceAll('\n', '\\n');
}

/**
 * As `printable`, for a message of several lines, such as a stack. The lines after the first are indented, so that none
 * looks like a message of its own.
 */
export function printableMessage(text: string): string {
  return printable(text).replace(/\n(?! )/g, '\n    ');
}

/** Escapes the same characters in JSON, with JSON's escapes. Line feeds occur only between members. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, index) => escapeUnit(character.charCodeAt(index))).join(''),
  );
}

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}

/** Replaces control characters by escapes such as `\x1b`; line feeds stay. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (character === '\t') return '\\t';
    if (character === '\r') return '\\r';
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}
