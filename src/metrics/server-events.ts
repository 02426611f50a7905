/** What happened to a running server: how often workers were replaced and versions reloaded, and a list of the latest events. */
import { printable } from '../printable.ts';
import { withoutSecrets } from '../secrets.ts';
import { NO_RELOADS, noRestarts, type Reloads, type RestartReason, type ServerEvent } from './server-status.ts';

/** The most events that are kept. */
const MAX_EVENTS = 50;
const LONGEST_TEXT = 200;

export class ServerEvents {
  readonly #restarts = noRestarts();
  #reloads = NO_RELOADS;
  #events: readonly ServerEvent[] = [];

  get restarts(): Readonly<Record<RestartReason, number>> {
    return { ...this.#restarts };
  }

  get reloads(): Reloads {
    return this.#reloads;
  }

  /** The newest first. */
  get latest(): readonly ServerEvent[] {
    return this.#events;
  }

  /** A worker has died, or its successor serves. */
  restarted(kind: RestartReason, text: string): void {
    this.#restarts[kind]++;
    this.#note(kind, text);
  }

  /**
   * A new version serves.
   * @param begun when the reload began, by `performance.now()`
   * @param replaced the number of workers that it replaces
   */
  reloaded(reason: string, begun: number, replaced: number): void {
    const lastSeconds = (performance.now() - begun) / 1000;
    const { done, failed, seconds } = this.#reloads;
    this.#reloads = { done: done + 1, failed, seconds: seconds + lastSeconds, lastSeconds, lastAt: Date.now() };
    this.#restarts.reload += replaced;
    this.#note('reload', reason);
  }

  /** A new version does not start. */
  reloadFailed(reason: string, error: string): void {
    this.#reloads = { ...this.#reloads, failed: this.#reloads.failed + 1 };
    this.#note('reload_failed', `${reason}: ${error}`);
  }

  #note(kind: ServerEvent['kind'], text: string): void {
    // The first line says what it is, the others where.
    const [line = ''] = withoutSecrets(text).split('\n', 1);
    const shown = printable(line.length > LONGEST_TEXT ? `${line.slice(0, LONGEST_TEXT)}...` : line);
    this.#events = [{ at: Date.now(), kind, text: shown }, ...this.#events.slice(0, MAX_EVENTS - 1)];
  }
}
