/** A QR code for a terminal, so that a telephone opens a URL without typing. */
import { type Paint, plain } from '../../diagnostics/paint.ts';
import { requireOwn } from '../../own-files.ts';

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
