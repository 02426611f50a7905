/** Text from a file or a peer, made safe for a terminal. */

// Control characters but for the line feed, and what breaks lines or turns the direction of text.
const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** As `printable`, on one line: a file's name may hold a line feed too. */
export function printableLine(text: string): string {
  return printable(text).replaceAll('\n', '\\n');
}

/**
 * As `printable`, for a message of several lines, such as a stack: the lines after the first are indented, so that none
 * can pass for a message of its own.
 */
export function printableMessage(text: string): string {
  return printable(text).replace(/\n(?! )/g, '\n    ');
}

/** JSON with the same characters in its own escapes, beyond those that it must have; line feeds stand between members alone. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, index) => escapeUnit(character.charCodeAt(index))).join(''),
  );
}

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}

/** Control characters become `\x1b`-like escapes; line feeds stay. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (character === '\t') return '\\t';
    if (character === '\r') return '\\r';
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}
