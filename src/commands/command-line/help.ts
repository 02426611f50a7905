/** The texts of `paster --help` and `paster help COMMAND`. */
import type { Command, Commands } from './command.ts';

type Row = readonly [term: string, meaning: string];

/** The width of a line where the output is not a terminal. */
const DEFAULT_WIDTH = 80;
/** A column of explanations that would be narrower than this is not wrapped. */
const NARROWEST = 40;

/** What `paster --help` prints. */
export function topHelp(commands: Commands): string {
  const rows: Row[] = [...commands].map(([name, { summary }]) => [name, summary]);
  rows.push(['help [COMMAND]', 'show the options and examples of a command']);
  const options: Row[] = [
    ['-V, --version', 'print the version'],
    ['-h, --help', 'show this help'],
  ];
  const width = termWidth([...rows, ...options]);
  return [
    'Usage: paster COMMAND [options]',
    '',
    'Run any Node app from one INI file: the app, its middleware and its server.',
    ...list('Options', options, width, Number.POSITIVE_INFINITY),
    ...list('Commands', rows, width, Number.POSITIVE_INFINITY),
  ].join('\n');
}

/**
 * What `paster help COMMAND` prints.
 * @param width columns of the terminal
 */
export function commandHelp(command: Command, width = DEFAULT_WIDTH): string {
  const args = command.args.map(([name, meaning]): { usage: string; row: Row } => {
    // A long list of words would widen the column of all arguments.
    const [, words] = /^\[((?:[a-z]+\|){4,}[a-z]+)\]$/.exec(name) ?? [];
    if (words !== undefined) return { usage: '[command]', row: ['command', words.replaceAll('|', ', ')] };
    return { usage: name, row: [name.replace(/^[<[]|(?:\.{3})?[\]>]$/g, ''), meaning] };
  });
  const options = command.options.map(({ flags, help }): Row => [flags, help]);
  options.push(['-h, --help', 'show this help']);
  const rows = args.map(({ row }) => row);
  const column = termWidth([...rows, ...options]);
  return [
    `Usage: ${['paster', command.name, '[options]', ...args.map(({ usage }) => usage)].join(' ')}`,
    '',
    ...wrapped(command.summary, width),
    ...(rows.length > 0 ? list('Arguments', rows, column, width) : []),
    ...list('Options', options, column, width),
    ...list('Examples', command.examples, termWidth(command.examples), Number.POSITIVE_INFINITY),
  ].join('\n');
}

function termWidth(rows: readonly Row[]): number {
  return Math.max(...rows.map(([term]) => term.length));
}

/** A heading, and below it terms with their explanations in columns. */
function list(heading: string, rows: readonly Row[], column: number, width: number): string[] {
  const lines = rows.flatMap(([term, meaning]) => {
    const [first = '', ...rest] = wrapped(meaning, width - column - '    '.length);
    return [`  ${term.padEnd(column)}  ${first}`, ...rest.map((line) => ' '.repeat(column + '    '.length) + line)];
  });
  return ['', `${heading}:`, ...lines];
}

function wrapped(text: string, width: number): string[] {
  if (width < NARROWEST) return [text];
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
