/**
 * What a recording looks like on a terminal: for each line pieces of text with their look and the time when they came.
 * Lines scroll away and are kept; of what is written over only the last is.
 */
import headless, { type IBuffer, type IBufferCell } from '@xterm/headless';
import type { Chunk } from './record.ts';

/** Lines enough that nothing scrolls out of the terminal's memory. */
const TALL = 2000;

interface Cell {
  readonly text: string;
  /** Words: `bold`, `dim`, `colour-2`. */
  readonly look: string;
  readonly time: number;
}

export interface Piece extends Cell {
  readonly column: number;
}

export interface Line {
  /** When its first piece came. */
  readonly time: number;
  readonly pieces: readonly Piece[];
}

/** What stands in each column of a line; nothing where it is blank. */
type Row = (Cell | undefined)[];

/** The lines from the top. @param options.step seconds to which times are rounded */
export async function linesOf(
  chunks: readonly Chunk[],
  { columns, step }: { readonly columns: number; readonly step: number },
): Promise<Line[]> {
  const terminal = new headless.Terminal({ cols: columns, rows: TALL, allowProposedApi: true });
  const seen: Row[] = [];
  for (const { time, text } of chunks) {
    await new Promise<void>((resolve) => terminal.write(text, resolve));
    notice(terminal.buffer.active, seen, Math.round(time / step) * step);
  }
  terminal.dispose();
  while (seen.at(-1)?.every((cell) => cell === undefined)) seen.pop();
  let time = 0;
  return seen.map((cells) => {
    const pieces = piecesOf(cells);
    time = Math.max(time, pieces[0]?.time ?? 0);
    return { time, pieces };
  });
}

/** Writes down each character that has changed, and when. */
function notice(buffer: IBuffer, seen: Row[], time: number): void {
  const last = buffer.baseY + buffer.cursorY;
  for (let y = Math.max(0, last - 40); y <= last; y++) {
    const line = buffer.getLine(y);
    const row: Row = seen[y] ?? [];
    seen[y] = row;
    for (let x = 0; x < (line?.length ?? 0); x++) {
      const cell = line?.getCell(x);
      if (!cell) continue;
      const [text, look] = [cell.getChars(), lookOf(cell)];
      const before = row[x];
      if (text.trim() === '') row[x] = undefined;
      else if (before?.text !== text || before.look !== look) row[x] = { text, look, time };
    }
  }
}

function lookOf(cell: IBufferCell): string {
  const words = [];
  if (cell.isBold()) words.push('bold');
  if (cell.isDim()) words.push('dim');
  if (cell.isFgPalette()) words.push(`colour-${cell.getFgColor() % 8}`);
  return words.join(' ');
}

/** Neighbours of one look and one time are one piece; blanks between words of a piece belong to it. */
function piecesOf(cells: Row): Piece[] {
  const pieces: { column: number; text: string; time: number; look: string }[] = [];
  cells.forEach((cell, column) => {
    if (cell === undefined) return;
    const last = pieces.at(-1);
    const gap = last ? column - last.column - [...last.text].length : 0;
    if (last && last.time === cell.time && last.look === cell.look && gap <= 2)
      last.text += ' '.repeat(gap) + cell.text;
    else pieces.push({ column, ...cell });
  });
  return pieces;
}
