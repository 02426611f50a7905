/** What a developer can type at the terminal of `serve --reload`: a letter and Enter, as in Vite. */
import { type Paint, paintFor, plain } from '../../diagnostics/paint.ts';
import { requireOwn } from '../../own-files.ts';
import { TerminalLines } from '../../process/program/terminal-lines.ts';
import { addressLines, type ShownAddress } from './banner.ts';

/** What the letters do. */
export interface KeyActions {
  readonly open: () => undefined;
  readonly reload: () => undefined;
  readonly quit: () => undefined;
  readonly addresses: () => readonly ShownAddress[];
}

interface Key {
  readonly letter: string;
  readonly meaning: string;
  readonly act: (actions: KeyActions) => readonly string[] | undefined;
}

const PAINT = paintFor(process.stdout);

/** Clears the screen and what has scrolled out of it. */
const CLEAR = '\x1b[2J\x1b[3J\x1b[H';

const KEYS: readonly Key[] = [
  { letter: 'r', meaning: 'reload configuration and code', act: ({ reload }) => reload() },
  { letter: 'u', meaning: 'show the URLs', act: ({ addresses }) => ['', ...addressLines(addresses(), PAINT), ''] },
  { letter: 'o', meaning: 'open the browser', act: ({ open }) => open() },
  { letter: 'n', meaning: 'show a QR code of the network URL', act: ({ addresses }) => networkCode(addresses()) },
  { letter: 'c', meaning: 'clear the screen', act: () => [CLEAR] },
  { letter: 'q', meaning: 'stop', act: ({ quit }) => quit() },
];

/** Acts on what is typed. @returns a function that ends this; it resolves when nothing more is read */
export function handleKeys(actions: KeyActions): () => Promise<void> {
  const lines = new TerminalLines((line) => {
    const letter = line.trim().toLowerCase();
    const shown = letter === 'h' ? HELP : KEYS.find((key) => key.letter === letter)?.act(actions);
    if (shown) process.stdout.write(`${shown.join('\n')}\n`);
  });
  return () => lines.close();
}

const HELP = ['', '  Shortcuts', ...KEYS.map(helpLine), ''];

function networkCode(addresses: readonly ShownAddress[]): readonly string[] {
  const url = addresses.find(({ label }) => label === 'Network')?.url;
  if (url === undefined) return ['', `  ${PAINT('dim', 'there is no network URL: use --host 0.0.0.0 to expose')}`, ''];
  return ['', ...qrCode(url, PAINT), '', `  ${PAINT('cyan', url)}`, ''];
}

function helpLine({ letter, meaning }: Key): string {
  return `  ${PAINT('dim', 'press')} ${PAINT('bold', `${letter} + enter`)} ${PAINT('dim', `to ${meaning}`)}`;
}

// --- a QR code, so that a telephone opens a URL without typing

/** The part of uqr that is used. It is loaded when the first code is drawn. */
interface Encoder {
  encode(text: string, options: { readonly border: number }): { readonly data: readonly (readonly boolean[])[] };
}

const MARGIN = '  ';
const BORDER = 2;

/**
 * The lines of the code, two rows of it in each. With colours it is black on white, whatever the scheme of the terminal;
 * without, its light parts are drawn, for a dark terminal.
 */
export function qrCode(text: string, paint: Paint): string[] {
  const { encode } = requireOwn('uqr') as Encoder;
  const { data } = encode(text, { border: BORDER });
  const isDrawn = (row: number, column: number) => (data[row]?.[column] ?? false) === (paint !== plain);
  const lines: string[] = [];
  for (let row = 0; row < data.length; row += 2) {
    const cells = (data[row] ?? []).map((_cell, column) => blockOf(isDrawn(row, column), isDrawn(row + 1, column)));
    lines.push(`${MARGIN}${paint('blackOnWhite', cells.join(''))}`);
  }
  return lines;
}

function blockOf(isUpper: boolean, isLower: boolean): string {
  if (isUpper) return isLower ? '█' : '▀';
  return isLower ? '▄' : ' ';
}
