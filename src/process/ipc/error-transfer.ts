/**
 * Sends errors between processes as plain data. What users read of an error - message, place, hint, exit status - arrives
 * unchanged; an error that is not paster's keeps its name, message, code and stack.
 */
import {
  asError,
  ConfigError,
  ErrorList,
  errorCode,
  type Location,
  PasterError,
  RunError,
  UsageError,
} from '../../errors.ts';

/** An error as plain data. */
export interface TransferredError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  /** Set for errors of paster's own family. */
  readonly exitStatus: number | undefined;
  readonly location: Location | undefined;
  readonly section: string | undefined;
  readonly hint: string | undefined;
  readonly cause: TransferredError | undefined;
  /** The members of an `ErrorList`. */
  readonly errors: readonly TransferredError[] | undefined;
}

const MAX_CAUSES = 8;

export function packError(thrown: unknown, depth = 0): TransferredError {
  const error = asError(thrown);
  const known = error instanceof PasterError ? error : undefined;
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    code: errorCode(error),
    exitStatus: known?.exitStatus,
    location: known?.location,
    section: known?.section,
    hint: known?.hint,
    cause: error.cause === undefined || depth === MAX_CAUSES ? undefined : packError(error.cause, depth + 1),
    errors: known instanceof ErrorList ? known.errors.map((each) => packError(each, depth + 1)) : undefined,
  };
}

export function unpackError(packed: TransferredError): Error {
  const error = packed.exitStatus === undefined ? unpackForeign(packed) : unpackOwn(packed, packed.exitStatus);
  error.name = packed.name;
  if (packed.stack !== undefined) error.stack = packed.stack;
  return error;
}

/** Stands in for an error class of a higher layer. */
class UnknownPasterError extends PasterError {
  readonly exitStatus: number;

  constructor(
    code: string,
    message: string,
    exitStatus: number,
    options: ConstructorParameters<typeof PasterError>[2],
  ) {
    super(code, message, options);
    this.exitStatus = exitStatus;
  }
}

const FAMILY = { ConfigError, UsageError, RunError };

function unpackOwn(packed: TransferredError, exitStatus: number): PasterError {
  if (packed.errors) {
    const members = packed.errors.map(unpackError).filter((each) => each instanceof PasterError);
    return new ErrorList(members);
  }
  const known = knownError(packed, exitStatus);
  known.section = packed.section;
  return known;
}

function knownError(packed: TransferredError, exitStatus: number): PasterError {
  const code = packed.code ?? 'PASTER_UNKNOWN';
  const options = { location: packed.location, hint: packed.hint, cause: packed.cause && unpackError(packed.cause) };
  if (packed.name in FAMILY) return new FAMILY[packed.name as keyof typeof FAMILY](code, packed.message, options);
  return new UnknownPasterError(code, packed.message, exitStatus, options);
}

function unpackForeign(packed: TransferredError): Error {
  const cause = packed.cause && unpackError(packed.cause);
  const error = new Error(packed.message, cause === undefined ? undefined : { cause });
  return packed.code === undefined ? error : Object.assign(error, { code: packed.code });
}
