/** An error as a terminal shows it: its message, the code that it is about, and the stack without frames of Node, paster and packages. */
import { ErrorList, errorMessage, formatError, formatLocation, PasterError } from '../errors.ts';
import { ownManifest } from '../own-files.ts';
import { printableLine, printableMessage } from '../printable.ts';
import { causesOf, type ErrorFrame, errorFrames } from './error-frames.ts';
import type { Format, Paint } from './paint.ts';
import { sourceExcerpt } from './source-excerpt.ts';

export interface ReportOptions {
  readonly paint: Paint;
  /** A directory of the project whose sources may be shown, besides the working directory's. */
  readonly directory?: string | undefined;
  /** Whether to show the frames of Node, paster and packages too. */
  readonly isVerbose: boolean;
}

type Place = Pick<ErrorFrame, 'file' | 'line' | 'column' | 'isConfiguration'>;

/** Lines before and after the one that is marked. */
const AROUND = 2;

/** The lines of an error: its message, the code, its stack and the messages of its causes. */
export async function errorReport(error: unknown, options: ReportOptions): Promise<string[]> {
  if (error instanceof ErrorList) {
    const reports = await Promise.all(error.errors.map((each) => errorReport(each, options)));
    return reports.flat();
  }
  const { paint, directory, isVerbose } = options;
  const frames = errorFrames(error);
  const code = await firstExcerpt(frames, paint, directory);
  const stack = frames.filter(({ isConfiguration }) => !isConfiguration);
  const shown = stack.filter(({ origin }) => isVerbose || origin === 'project');
  const causes = causesOf(error).slice(1);
  const folded = stack.length - shown.length;
  // An error of paster's own has its place in its message, and quotes its cause.
  const isOwn = error instanceof PasterError;
  return [
    ...messageLines(error, paint),
    ...code,
    ...shown.map((frame) => `    ${stackLine(frame, paint)}`),
    ...(folded > 0 && (shown.length > 0 || !isOwn) ? [`    ${paint('dim', foldedLine(folded))}`] : []),
    ...(isOwn ? [] : causes.map((cause) => printableMessage(`caused by ${titleOf(cause)}`))),
  ];
}

/** The lines of an error that ends a command, each message after `paster:`. @param withCode whether to show the code too */
export async function commandErrorLines(error: PasterError, paint: Paint, withCode: boolean): Promise<string[]> {
  const errors = error instanceof ErrorList ? error.errors : [error];
  const lines = await Promise.all(
    errors.map(async (each) => {
      const report = withCode ? errorReport(each, { paint, isVerbose: false }) : messageLines(each, paint);
      const [first = '', ...more] = await report;
      return [`${paint('bold', 'paster:')} ${first}`, ...more];
    }),
  );
  return lines.flat();
}

/** The message of an error of paster's own, as one line with its place and hint in colours. */
function messageLines(error: unknown, paint: Paint, colour: Format = 'red'): string[] {
  if (!(error instanceof PasterError)) return [paint(colour, printableMessage(titleOf(error)))];
  const message = formatError(error);
  const place = error.location ? formatLocation(error.location) : '';
  const hint = error.hint ? ` (${printableLine(error.hint)})` : '';
  if (!message.startsWith(place) || !message.endsWith(hint)) return [paint(colour, message)];
  const text = message.slice(place.length, message.length - hint.length);
  return [`${place && paint('cyan', place)}${paint(colour, text)}${hint && paint('dim', hint)}`];
}

function titleOf(error: unknown): string {
  const message = errorMessage(error);
  if (!(error instanceof Error)) return message;
  return message === '' ? error.name : `${error.name}: ${message}`;
}

async function firstExcerpt(
  frames: readonly ErrorFrame[],
  paint: Paint,
  directory: string | undefined,
): Promise<string[]> {
  for (const frame of frames) {
    const lines = frame.origin === 'project' ? await codeFrame(frame, paint, directory) : [];
    if (lines.length > 0) return lines;
  }
  return [];
}

/** The lines around a place, with the place marked; none if they may not be shown. */
export async function codeFrame(place: Place, paint: Paint, directory?: string): Promise<string[]> {
  const excerpt = (await sourceExcerpt(place, directory, AROUND)) ?? [];
  // Empty lines at the ends show nothing.
  while (excerpt.at(-1)?.text.trim() === '' && excerpt.at(-1)?.isMarked === false) excerpt.pop();
  const width = String(excerpt.at(-1)?.number ?? 0).length;
  const lines = excerpt.flatMap(({ number, text, isMarked }) => {
    const shown = shownCode(text);
    const gutter = `${String(number).padStart(width)} |`;
    if (!isMarked) return [paint('dim', `    ${gutter} ${shown}`.trimEnd())];
    const before = shownCode(text.slice(0, Math.max(0, place.column - 1))).length;
    return [
      `  ${paint('red', '>')} ${paint('bold', gutter)} ${shown}`,
      `    ${' '.repeat(width)} ${paint('dim', '|')} ${' '.repeat(before)}${paint('red', '^')}`,
    ];
  });
  return lines.length > 0 ? ['', ...lines, ''] : [];
}

/** A line of a file for a terminal. A tab becomes two spaces, so that the marker below the line stays below its character. */
function shownCode(text: string): string {
  return printableLine(text.replaceAll('\t', '  '));
}

function stackLine(frame: ErrorFrame, paint: Paint): string {
  const place = formatLocation(frame);
  const shown = frame.name === undefined ? `at ${place}` : `at ${printableLine(frame.name)} (${place})`;
  return frame.origin === 'project' ? shown : paint('dim', shown);
}

function foldedLine(count: number): string {
  const what = count === 1 ? '1 frame' : `${count} frames`;
  return `… ${what} of Node, paster and packages (-v shows them)`;
}

/** Codes of one kind that end with a code of the system or of the INI reader have one heading. */
const FAMILY = /^(PASTER_(?:INTERPOLATION|LISTEN))_.*/;

export function errorFamily(code: string): string {
  return code.replace(FAMILY, '$1');
}

/** A line for each code of an error: on the site that package.json names as `homepage`, otherwise in the repository. */
export function documentationLines(error: PasterError): string[] {
  const { homepage } = ownManifest();
  const page = homepage === undefined ? 'docs/error-codes.md' : `${homepage.replace(/\/$/, '')}/error-codes.html`;
  const errors = error instanceof ErrorList ? error.errors : [error];
  const codes = new Set(errors.map(({ code }) => code));
  return [...codes].map((code) => `${code}: ${page}#${errorFamily(code).toLowerCase()}`);
}
