/** Counts the requests of one section of the INI file, at the cost of a few additions each. */
import { type AnswerCount, bucketOf, DURATION_BOUNDS, type SectionCounts } from './counts.ts';

/** The methods that have counts of their own (RFC 9110 section 9.3, RFC 5789). */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const OTHER = 'other';

/** More than any status. */
const STATUSES = 1000;

export class SectionCounter {
  readonly section: string;
  /** By the method's index times STATUSES, plus the status. */
  readonly #answers = new Map<number, { count: number }>();
  #lastAnswer = -1;
  #last = { count: 0 };
  readonly #durations: number[] = Array.from({ length: DURATION_BOUNDS.length + 1 }, () => 0);
  #seconds = 0;
  #aborted = 0;

  constructor(section: string) {
    this.section = section;
  }

  /** Counts a request that is over. */
  add(method: string | undefined, status: number, seconds: number, isComplete: boolean): void {
    const answer = indexOf(method) * STATUSES + status;
    // Most requests have the method and the status of the one before.
    if (answer !== this.#lastAnswer) this.#turnTo(answer);
    this.#last.count++;
    const bucket = bucketOf(seconds);
    this.#durations[bucket] = (this.#durations[bucket] ?? 0) + 1;
    this.#seconds += seconds;
    if (!isComplete) this.#aborted++;
  }

  #turnTo(answer: number): void {
    const counted = this.#answers.get(answer) ?? { count: 0 };
    this.#answers.set(answer, counted);
    this.#lastAnswer = answer;
    this.#last = counted;
  }

  /** Undefined if there were no requests. */
  counts(): SectionCounts | undefined {
    if (this.#answers.size === 0) return undefined;
    return {
      section: this.section,
      answers: [...this.#answers].map(
        ([answer, { count }]): AnswerCount => ({
          method: METHODS[Math.floor(answer / STATUSES)] ?? OTHER,
          status: answer % STATUSES,
          count,
        }),
      ),
      aborted: this.#aborted,
      durations: [...this.#durations],
      seconds: this.#seconds,
    };
  }
}

/** The index in METHODS. A `switch` is faster than a search, since most requests are a GET. */
function indexOf(method: string | undefined): number {
  switch (method) {
    case 'GET':
      return 0;
    case 'HEAD':
      return 1;
    case 'POST':
      return 2;
    case 'PUT':
      return 3;
    case 'PATCH':
      return 4;
    case 'DELETE':
      return 5;
    case 'OPTIONS':
      return 6;
    default:
      return METHODS.length;
  }
}
