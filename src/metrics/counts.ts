/** What was counted of requests, as plain data that survives a structured clone, and the sum of two of them. Pure. */

/** The upper bounds of the histogram of durations in seconds; one more bucket is for what takes longer. */
export const DURATION_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

/** How many requests had this method and this status. */
export interface AnswerCount {
  /** One of `METHODS`, or `other`: what clients invent does not become a time series. */
  readonly method: string;
  /** 499 where the client left before there was one, as nginx has it. */
  readonly status: number;
  readonly count: number;
}

/** What one section of the INI file has answered. */
export interface SectionCounts {
  /** `app:main`; for a part without a section its URI. */
  readonly section: string;
  readonly answers: readonly AnswerCount[];
  /** Of these, answers that did not come to their end: the client left, or the application broke it off. */
  readonly aborted: number;
  /** Requests by duration, not cumulated: one more than `DURATION_BOUNDS`. */
  readonly durations: readonly number[];
  /** The sum of all durations. */
  readonly seconds: number;
}

/** What never becomes less while a server runs. */
export interface Counts {
  readonly sections: readonly SectionCounts[];
  /** Requests of which nothing more is known: counted where neither `metrics` nor `status` is served. */
  readonly watched: number;
  /** Requests that took over their connection, such as WebSockets. */
  readonly upgrades: number;
  /** Connections that were accepted, or taken over from a worker that went. */
  readonly connections: number;
  /** Bytes on these connections, heads and framing included. */
  readonly received: number;
  readonly sent: number;
}

export const NO_COUNTS: Counts = { sections: [], watched: 0, upgrades: 0, connections: 0, received: 0, sent: 0 };

/** Both together; neither is changed. */
export function addCounts(one: Counts, other: Counts): Counts {
  const sections = new Map(one.sections.map((each) => [each.section, each]));
  for (const each of other.sections) {
    const known = sections.get(each.section);
    sections.set(each.section, known ? addSections(known, each) : each);
  }
  return {
    sections: [...sections.values()],
    watched: one.watched + other.watched,
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
    durations: one.durations.map((count, index) => count + (other.durations[index] ?? 0)),
    seconds: one.seconds + other.seconds,
  };
}

/** How many requests have been answered, or left. */
export function requestsOf({ sections, watched }: Counts): number {
  return sections.reduce((sum, { durations }) => sum + durations.reduce((all, count) => all + count, 0), watched);
}
