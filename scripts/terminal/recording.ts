/** Runs a shell script, keeps what it prints and when, and lays it out in the lines of a terminal. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Output that arrived at once. */
export interface Chunk {
  /** Seconds since the start. */
  readonly time: number;
  readonly text: string;
}

/** Text in one style that arrived at one time. */
export interface Piece {
  readonly column: number;
  readonly text: string;
  /** CSS classes of the style: `bold`, `dim`, `colour-2`. */
  readonly classes: string;
  readonly time: number;
}

export interface Line {
  /** When its first piece arrived. */
  readonly time: number;
  readonly pieces: readonly Piece[];
}

/** Runs a script at a terminal of `columns`. @throws Error if the script fails */
export async function record(
  script: string,
  { columns, ...options }: { cwd: string; env: NodeJS.ProcessEnv; columns: number },
): Promise<Chunk[]> {
  const start = performance.now();
  const command = `stty cols ${columns} rows 50; exec bash -c ". '${script}'"`;
  const bash = spawn('script', ['-qefc', command, '/dev/null'], { ...options, stdio: ['pipe', 'pipe', 'ignore'] });
  const chunks: Chunk[] = [];
  bash.stdout.setEncoding('utf8').on('data', (text: string) => {
    chunks.push({ time: (performance.now() - start) / 1000, text });
  });
  const [status] = await once(bash, 'close');
  if (status !== 0) throw new Error(`${script} ended with status ${status}`);
  return chunks;
}

/** The same chunks, with every pause cut to `longest` seconds. */
export function withoutIdling(chunks: readonly Chunk[], longest: number): Chunk[] {
  let [cut, last] = [0, 0];
  return chunks.map(({ time, text }) => {
    cut += Math.max(0, time - last - longest);
    last = time;
    return { time: time - cut, text };
  });
}

/** A colour or weight, the end of a line, or text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
const TOKEN = /\x1b\[([\d;]*)m|(\r?\n)|([^\x00-\x1f]+)|[\s\S]/gu;

/** The numbers of control sequences that set a weight or a colour, with the CSS class of each, and those that end it. */
const WEIGHTS: Readonly<Record<string, string>> = { '1': 'bold', '2': 'dim', '22': '' };
const COLOURS: Readonly<Record<string, string>> = {
  '31': 'colour-1',
  '32': 'colour-2',
  '33': 'colour-3',
  '36': 'colour-6',
  '39': '',
};

interface Style {
  readonly weight: string;
  readonly colour: string;
}

/** The style after a sequence with this number. */
function changed(style: Style, number: string): Style {
  if (number === '' || number === '0') return { weight: '', colour: '' };
  return { weight: WEIGHTS[number] ?? style.weight, colour: COLOURS[number] ?? style.colour };
}

/**
 * The lines of a terminal that is `columns` wide; times are rounded to `step` seconds.
 *
 * @throws Error for a control sequence other than colours: the programs that are shown use no other
 */
export function linesOf(
  chunks: readonly Chunk[],
  { columns, step }: { readonly columns: number; readonly step: number },
): Line[] {
  const lines: Piece[][] = [[]];
  let [style, column]: [Style, number] = [{ weight: '', colour: '' }, 0];
  const breakLine = (): void => {
    lines.push([]);
    column = 0;
  };
  for (const chunk of chunks) {
    const time = Math.round(chunk.time / step) * step;
    for (const [token, change, newline, text] of chunk.text.matchAll(TOKEN)) {
      if (change !== undefined) {
        style = changed(style, change);
      } else if (newline !== undefined) breakLine();
      else if (text === undefined) throw new Error(`no picture of ${JSON.stringify(token)} can be drawn`);
      else {
        const classes = [style.weight, style.colour].filter((each) => each !== '').join(' ');
        for (let rest = [...text]; rest.length > 0; ) {
          if (column === columns) breakLine();
          const shown = rest.splice(0, columns - column).join('');
          append(lines.at(-1), { column, text: shown, classes, time });
          column += [...shown].length;
        }
      }
    }
  }
  while (lines.at(-1)?.length === 0) lines.pop();
  let time = 0;
  return lines.map((pieces) => {
    time = Math.max(time, pieces[0]?.time ?? 0);
    return { time, pieces };
  });
}

/** Adds a piece to a line, to the piece before it if that has the same style and time. Blanks need no piece of their own. */
function append(line: Piece[] = [], piece: Piece): void {
  const last = line.at(-1);
  const end = last ? last.column + [...last.text].length : 0;
  if (last && last.time === piece.time && last.classes === piece.classes && end === piece.column) {
    line[line.length - 1] = { ...last, text: last.text + piece.text };
  } else if (piece.text.trim() !== '') line.push(piece);
}
