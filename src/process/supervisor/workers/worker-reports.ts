/** What a worker has reported about itself, and when. */
import type { ProcessReport } from '../../../metrics/server-status.ts';
import type { Load } from '../../ipc/messages.ts';

export class WorkerReports {
  #latest: ProcessReport | undefined;
  #atEnd: ProcessReport | undefined;
  #receivedAt = 0;
  #load: Load | undefined;
  #loadAt = 0;
  /** Whether the worker has been asked for a report that it has not sent yet. */
  #isPending = false;
  readonly #listeners = new Set<() => void>();

  /** The latest report; undefined before the first one. */
  get latest(): ProcessReport | undefined {
    return this.#latest;
  }

  /** The report that the worker sent when it ended, if it could. */
  get atEnd(): ProcessReport | undefined {
    return this.#atEnd;
  }

  /** Milliseconds since the latest one came. */
  get age(): number {
    return performance.now() - this.#receivedAt;
  }

  /** How busy the worker was. Undefined before it has reported that. */
  get load(): Load | undefined {
    return this.#load;
  }

  /** Milliseconds since it reported its load. */
  get loadAge(): number {
    return performance.now() - this.#loadAt;
  }

  /** @param time of `performance.now()` */
  isFrom(time: number): boolean {
    return this.#receivedAt >= time;
  }

  /**
   * Asks for a report. Resolves when it has come, when the worker is gone, or after `limit` milliseconds. A blocked worker gets
   * one request, however many callers ask.
   */
  async request(ask: () => void, limit: number): Promise<void> {
    if (!this.#isPending) ask();
    this.#isPending = true;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(late);
        this.#listeners.delete(done);
        resolve();
      };
      const late = setTimeout(done, limit);
      this.#listeners.add(done);
    });
  }

  receive(report: ProcessReport, isLast: boolean): void {
    this.#latest = report;
    this.#receivedAt = performance.now();
    this.#isPending = false;
    if (isLast) this.#atEnd = report;
    this.release();
  }

  receiveLoad(load: Load): void {
    this.#load = load;
    this.#loadAt = performance.now();
  }

  /** Ends the wait of all callers of `request`. To be called when the worker is gone. */
  release(): void {
    for (const listener of this.#listeners) listener();
  }
}
