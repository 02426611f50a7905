/** Counts the requests of one section, at the price of a few additions each. */
import { type AnswerCount, DURATION_BOUNDS, type SectionCounts } from './counts.ts';

/** The methods that are told apart (RFC 9110 section 9.3, RFC 5789). */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const OTHER = 'other';

/** Statuses have three digits. */
const STATUSES = 1000;

export class Tally {
  readonly section: string;
  /** How many, by the place of the method and the status. */
  readonly #answers = new Map<number, { count: number }>();
  #lastAnswer = -1;
  #last = { count: 0 };
  readonly #durations: number[] = Array.from({ length: DURATION_BOUNDS.length + 1 }, () => 0);
  #seconds = 0;
  #aborted = 0;

  constructor(section: string) {
    this.section = section;
  }

  /** A request is over. */
  add(method: string | undefined, status: number, seconds: number, isComplete: boolean): void {
    const answer = placeOf(method) * STATUSES + status;
    // Most requests are answered as the last one was.
    if (answer !== this.#lastAnswer) this.#turnTo(answer);
    this.#last.count++;
    let bucket = 0;
    while (seconds > (DURATION_BOUNDS[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
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

  /** Undefined where there is nothing. */
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

/** Not a search: most requests are a GET. */
function placeOf(method: string | undefined): number {
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
