/** The last ten minutes of a server, one sample each five seconds. It takes no sample unless something calls `note`. */
import type { Counts } from './counts.ts';
import type { ProcessReport, Sample } from './server-status.ts';

/** Milliseconds between two samples, or a little more. */
export const SAMPLE_MS = 5000;
/** How many are kept: ten minutes. */
export const SAMPLES = 120;

type Totals = Pick<Sample, 'answers' | 'durations'>;

export class History {
  #samples: readonly Sample[] = [];
  #lastAt: number | undefined;
  #last: Totals = { answers: [], durations: [] };

  /** The oldest first. */
  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /** Takes a sample if the last one is old enough. The first call only begins the counting. */
  note(read: () => { readonly counts: Counts; readonly reports: readonly ProcessReport[] }): void {
    const now = performance.now();
    const since = this.#lastAt;
    // Timers are a little early or late.
    if (since !== undefined && now - since < SAMPLE_MS - 100) return;
    const { counts, reports } = read();
    const totals = totalsOf(counts);
    if (since !== undefined) {
      const sample: Sample = {
        at: Date.now(),
        seconds: (now - since) / 1000,
        answers: difference(totals.answers, this.#last.answers),
        durations: difference(totals.durations, this.#last.durations),
        inFlight: reports.reduce((sum, { inFlightCount }) => sum + inFlightCount, 0),
        workers: reports.map(({ pid, memory, lag }) => ({ pid, resident: memory.resident, lag: lag.recent })),
      };
      this.#samples = [...this.#samples, sample].slice(-SAMPLES);
    }
    this.#lastAt = now;
    this.#last = totals;
  }
}

function totalsOf({ sections }: Counts): Totals {
  const answers = [0, 0, 0, 0, 0];
  const durations: number[] = [];
  for (const section of sections) {
    for (const { status, count } of section.answers) {
      const index = Math.min(5, Math.max(1, Math.floor(status / 100))) - 1;
      answers[index] = (answers[index] ?? 0) + count;
    }
    section.durations.forEach((count, bucket) => {
      durations[bucket] = (durations[bucket] ?? 0) + count;
    });
  }
  return { answers, durations };
}

function difference(now: readonly number[], before: readonly number[]): number[] {
  return now.map((count, index) => count - (before[index] ?? 0));
}
