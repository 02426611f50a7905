/** Colours for a terminal: only the sixteen that the user's own scheme defines, so that they suit light and dark ones. */

/** Start and end of each format, as parameters of ECMA-48's SGR. */
const FORMATS = {
  bold: [1, 22],
  dim: [2, 22],
  underline: [4, 24],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
  blackOnWhite: ['30;107', '39;49'],
} as const;

export type Format = keyof typeof FORMATS;

/** Returns the text in a format, or as it is where there are no colours. The text must be escaped already. */
export type Paint = (format: Format, text: string) => string;

/** Leaves every text as it is. */
export const plain: Paint = (_format, text) => text;

const coloured: Paint = (format, text) => {
  const [start, end] = FORMATS[format];
  return `\x1b[${start}m${text}\x1b[${end}m`;
};

/** How to paint what is written to a stream: NO_COLOR turns colours off, FORCE_COLOR on, otherwise a terminal has them. */
export function paintFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Paint {
  const { NO_COLOR, FORCE_COLOR, TERM } = env;
  if (NO_COLOR) return plain;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR === '0' || FORCE_COLOR === 'false' ? plain : coloured;
  return stream.isTTY && TERM !== 'dumb' ? coloured : plain;
}
