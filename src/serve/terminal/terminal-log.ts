/** What `serve` shows at a terminal in development: reloads and errors. */
import { errorReport } from '../../diagnostics/error-report.ts';
import { paintFor } from '../../diagnostics/paint.ts';
import { printableLine } from '../../printable.ts';
import { clockTime, fromHere, shownTime } from './shown-text.ts';

/** Shows reloads and errors of a server in development. */
export class DeveloperLog {
  readonly #isVerbose: boolean;
  readonly #directory: string;
  readonly #paint = paintFor(process.stderr);

  /** @param directory of the project whose sources may be shown */
  constructor(isVerbose: boolean, directory: string) {
    this.#isVerbose = isVerbose;
    this.#directory = directory;
  }

  readonly reloaded = (changed: readonly string[], milliseconds: number): void => {
    const [first] = changed;
    const more = changed.length > 1 ? ` and ${changed.length - 1} more` : '';
    const what =
      first === undefined ? 'configuration and code' : `${this.#paint('cyan', `${fromHere(first)}${more}`)} changed,`;
    this.#write([`${this.#time()} ${what} ${this.#paint('green', `reloaded in ${shownTime(milliseconds)}`)}`]);
  };

  /** Resolves when it is written. @param title what failed; absent: the message of the error says it */
  readonly failed = async (error: unknown, title?: string): Promise<void> => {
    const options = { paint: this.#paint, directory: this.#directory, isVerbose: this.#isVerbose };
    const what = title === undefined ? [] : [`${this.#time()} ${this.#paint('red', printableLine(title))}`];
    const [first = '', ...lines] = await errorReport(error, options);
    if (lines.length > 0 && lines.at(-1) !== '') lines.push('');
    this.#write(what.length > 0 ? [...what, first, ...lines] : [`${this.#time()} ${first}`, ...lines]);
  };

  #time(): string {
    return this.#paint('dim', clockTime(new Date()));
  }

  /** In one piece: workers write to the same terminal. */
  #write(lines: readonly string[]): void {
    process.stderr.write(`${lines.join('\n')}\n`);
  }
}
