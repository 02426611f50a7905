/** Kinds of values that options of Connect middleware take, to say at once what its factory would find out late or never. */

export interface ValueKind {
  /** For people: what it can be. */
  readonly allowed: string;
  accepts(value: unknown): boolean;
}

export const anything: ValueKind = { allowed: 'anything', accepts: () => true };

export const bool: ValueKind = { allowed: 'true or false', accepts: (value) => typeof value === 'boolean' };

export const word: ValueKind = {
  allowed: 'a text that is not empty',
  accepts: (value) => typeof value === 'string' && value.trim() !== '',
};

export const words: ValueKind = {
  allowed: 'a JSON array of texts',
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every((each) => word.accepts(each)),
};

export const object: ValueKind = {
  allowed: 'a JSON object',
  accepts: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};

export const nothing: ValueKind = { allowed: 'null', accepts: (value) => value === null };

export const never: ValueKind = { allowed: 'false', accepts: (value) => value === false };

/** The size of a body, in the texts of npm `bytes`. */
export const bytes: ValueKind = {
  allowed: 'a number of bytes, or such as 4kb',
  accepts: (value) =>
    typeof value === 'number'
      ? value >= 0
      : typeof value === 'string' && /^\d+(?:\.\d+)? *(?:b|kb|mb|gb)$/i.test(value),
};

/** A time, in the texts of npm `ms`. */
export const time: ValueKind = {
  allowed: 'milliseconds, or such as 1d',
  accepts: (value) =>
    typeof value === 'number'
      ? value >= 0
      : typeof value === 'string' &&
        /^\d*\.?\d+ *(?:milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w|years?|yrs?|y)$/i.test(
          value,
        ),
};

export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER): ValueKind {
  return {
    allowed:
      most === Number.MAX_SAFE_INTEGER ? `a whole number, ${least} or more` : `a whole number from ${least} to ${most}`,
    accepts: (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
  };
}

export function oneOf(...texts: readonly string[]): ValueKind {
  return {
    allowed: texts.join(', '),
    accepts: (value) => typeof value === 'string' && texts.includes(value.toLowerCase()),
  };
}

export function either(...kinds: readonly ValueKind[]): ValueKind {
  return {
    allowed: kinds.map(({ allowed }) => allowed).join(', or '),
    accepts: (value) => kinds.some((kind) => kind.accepts(value)),
  };
}
