/** Counts of requests as plain data, which survives a structured clone, and their sum. Pure. */

/** The upper bounds of the histogram of durations, in seconds; one more bucket is for longer requests. */
export const DURATION_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

/** How many requests had a method and a status. */
export interface AnswerCount {
  /** One of `METHODS`, or `other`, so that methods that clients invent do not become time series. */
  readonly method: string;
  /** 499, as in nginx, if the client left before there was a status. */
  readonly status: number;
  readonly count: number;
}

/** The requests that one section of the INI file has responded to. */
export interface SectionCounts {
  /** Such as `app:main`; the URI of a part that has no section. */
  readonly section: string;
  readonly answers: readonly AnswerCount[];
  /** Responses among these that were not finished: the client left, or the application destroyed them. */
  readonly aborted: number;
  /** Requests by duration, not cumulative: one bucket more than `DURATION_BOUNDS`. */
  readonly durations: readonly number[];
  /** The sum of all durations. */
  readonly seconds: number;
}

/** Why requests were refused: too many in flight, or the event loop was late. */
export const REFUSAL_REASONS = ['in_flight', 'lag'] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** How long requests have waited in front of the server, by the header X-Request-Start. */
export interface QueueTimes {
  /** As in `SectionCounts`. */
  readonly durations: readonly number[];
  readonly seconds: number;
}

/** Numbers that only grow while a server runs. */
export interface Counts {
  readonly sections: readonly SectionCounts[];
  /** Requests that are counted without details, which is all that happens if neither `metrics` nor `status` is configured. */
  readonly watched: number;
  /** Responses with a status from 500 on, whether or not requests are counted in detail. */
  readonly failed: number;
  /** Requests that were refused because of overload. They are counted nowhere else. */
  readonly refused: Readonly<Record<RefusalReason, number>>;
  readonly queue: QueueTimes;
  /** Requests that took over their connection, such as WebSockets. */
  readonly upgrades: number;
  /** Connections that were accepted, or taken over from a worker that ended. */
  readonly connections: number;
  /** Bytes on these connections, heads and framing included. */
  readonly received: number;
  readonly sent: number;
}

export const NO_COUNTS: Counts = {
  sections: [],
  watched: 0,
  failed: 0,
  refused: { in_flight: 0, lag: 0 },
  queue: { durations: DURATION_BOUNDS.map(() => 0).concat(0), seconds: 0 },
  upgrades: 0,
  connections: 0,
  received: 0,
  sent: 0,
};

/** The sum; neither argument is changed. */
export function addCounts(one: Counts, other: Counts): Counts {
  const sections = new Map(one.sections.map((each) => [each.section, each]));
  for (const each of other.sections) {
    const known = sections.get(each.section);
    sections.set(each.section, known ? addSections(known, each) : each);
  }
  return {
    sections: [...sections.values()],
    watched: one.watched + other.watched,
    failed: one.failed + other.failed,
    refused: {
      in_flight: one.refused.in_flight + other.refused.in_flight,
      lag: one.refused.lag + other.refused.lag,
    },
    queue: {
      durations: addEach(one.queue.durations, other.queue.durations),
      seconds: one.queue.seconds + other.queue.seconds,
    },
    upgrades: one.upgrades + other.upgrades,
    connections: one.connections + other.connections,
    received: one.received + other.received,
    sent: one.sent + other.sent,
  };
}

function addSections(one: SectionCounts, other: SectionCounts): SectionCounts {
  const answers = new Map(one.answers.map((each) => [`${each.method} ${each.status}`, each]));
  for (const each of other.answers) {
    const name = `${each.method} ${each.status}`;
    answers.set(name, { ...each, count: each.count + (answers.get(name)?.count ?? 0) });
  }
  return {
    section: one.section,
    answers: [...answers.values()],
    aborted: one.aborted + other.aborted,
    durations: addEach(one.durations, other.durations),
    seconds: one.seconds + other.seconds,
  };
}

function addEach(one: readonly number[], other: readonly number[]): number[] {
  return one.map((count, index) => count + (other[index] ?? 0));
}

/** The bucket of a duration in seconds. */
export function bucketOf(seconds: number): number {
  let bucket = 0;
  while (seconds > (DURATION_BOUNDS[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
  return bucket;
}

/** How many requests were refused, for whatever reason. */
export function refusedOf({ refused }: Counts): number {
  return refused.in_flight + refused.lag;
}

/** How many requests have ended, with or without a response. */
export function requestsOf({ sections, watched }: Counts): number {
  return sections.reduce((sum, { durations }) => sum + durations.reduce((all, count) => all + count, 0), watched);
}
