/** A load that goes on after a mistake, so that all of them come out at once, each of them once. */
import type { IniEntry } from '../config/ini.ts';
import { ErrorList, type Location, PasterError } from '../errors.ts';
import { LoadSession } from './session.ts';

export class CheckSession extends LoadSession {
  readonly #mistakes: PasterError[] = [];
  /** Entries whose value is not to be had: what else is wrong with them follows from that. */
  readonly #unreadable: { readonly from: Location; readonly to: Location }[] = [];

  /** @throws what is no mistake of a user's */
  override mistake(error: unknown, entry?: IniEntry): void {
    if (!(error instanceof PasterError)) throw error;
    if (entry) this.#unreadable.push({ from: entry.location, to: entry.locate(Number.POSITIVE_INFINITY) });
    if (error instanceof ErrorList) for (const each of error.errors) this.mistake(each);
    else if (!this.#mistakes.includes(error)) this.#mistakes.push(error);
  }

  /** A point to go back to with `forget`. */
  get mark(): number {
    return this.#mistakes.length;
  }

  /** Forgets the mistakes since `mark`: they came of a guess. */
  forget(mark: number): void {
    this.#mistakes.length = mark;
  }

  /** The mistakes found, without those that follow from another one. */
  get mistakes(): readonly PasterError[] {
    const interpolated = new Set<string>();
    return this.#mistakes.filter((error) => {
      const { location } = error;
      if (location === undefined) return true;
      // A value of [DEFAULT] is interpolated again for each section that inherits it.
      if (!error.code.startsWith('PASTER_INTERPOLATION_')) return !this.#follows(location);
      const place = `${location.file}:${location.line}:${location.column}`;
      return !interpolated.has(place) && interpolated.add(place);
    });
  }

  #follows(location: Location): boolean {
    return this.#unreadable.some(
      ({ from, to }) => from.file === location.file && from.line <= location.line && location.line <= to.line,
    );
  }
}
