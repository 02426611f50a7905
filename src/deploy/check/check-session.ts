/** A load session that collects errors instead of throwing the first one. */
import type { IniEntry } from '../../config/ini/ini.ts';
import { ErrorList, type Location, PasterError } from '../../errors.ts';
import { LoadSession } from '../session.ts';

export class CheckSession extends LoadSession {
  readonly #errors: PasterError[] = [];
  /** Entries whose value cannot be interpolated: other errors in their lines follow from that. */
  readonly #unreadable: { readonly from: Location; readonly to: Location }[] = [];

  /** @throws errors that are not PasterErrors */
  override report(error: unknown, entry?: IniEntry): void {
    if (!(error instanceof PasterError)) throw error;
    if (entry) this.#unreadable.push({ from: entry.location, to: entry.locate(Number.POSITIVE_INFINITY) });
    if (error instanceof ErrorList) for (const each of error.errors) this.report(each);
    else if (!this.#errors.includes(error)) this.#errors.push(error);
  }

  /** A point for `forget`. */
  get mark(): number {
    return this.#errors.length;
  }

  /** Drops the errors since `mark`: they came from trying something that need not exist. */
  forget(mark: number): void {
    this.#errors.length = mark;
  }

  /** The errors, without those that follow from another one. */
  get errors(): readonly PasterError[] {
    const interpolated = new Set<string>();
    return this.#errors.filter((error) => {
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
