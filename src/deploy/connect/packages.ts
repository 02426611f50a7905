/**
 * The kinds of values that the options of widely used middleware accept. The packages themselves find a wrong value only at
 * the first request, or not at all. An option that is not listed can have any value.
 */

/** The values that an option takes. */
export interface OptionKind {
  /** For messages, as a noun phrase. */
  readonly allowed: string;
  accepts(value: unknown): boolean;
  /** The option takes something that only code can make, which no value in an INI file can be. */
  readonly isCode?: true;
  /** For such an option: what to write instead. Default: the advice to write a module. */
  readonly instead?: string | undefined;
}

interface NamedOption {
  readonly name: string;
  readonly help: string;
}

export interface ConnectPackage {
  /** The setting that is the first argument; the others become the object that is the second. */
  readonly first?: NamedOption & { readonly kind: OptionKind };
  /** The setting without which each request fails. */
  readonly required?: NamedOption;
  /** Settings that stay texts even if they look like a number. */
  readonly texts?: readonly string[];
  /** Whether the factory checks its options and does nothing else, so that `check` may call it. */
  readonly validates?: true;
  /** What the package itself calls an option in its messages. */
  readonly otherNames?: Readonly<Record<string, string>>;
  /** By name; a dot leads into an object. */
  readonly options: Readonly<Record<string, OptionKind>>;
}

const anything: OptionKind = { allowed: 'anything', accepts: () => true };
const bool: OptionKind = { allowed: 'true or false', accepts: (value) => typeof value === 'boolean' };
const onlyFalse: OptionKind = { allowed: 'false', accepts: (value) => value === false };
const onlyNull: OptionKind = { allowed: 'null', accepts: (value) => value === null };
const word: OptionKind = {
  allowed: 'a text that is not empty',
  accepts: (value) => typeof value === 'string' && value.trim() !== '',
};
const words: OptionKind = {
  allowed: 'a JSON array of texts',
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every((each) => word.accepts(each)),
};
const object: OptionKind = {
  allowed: 'a JSON object',
  accepts: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};
/** As the npm packages `bytes` and `ms` read them. */
const bytes = numberOr('a number of bytes, or a text such as 4kb', /^\d+(?:\.\d+)? *(?:b|kb|mb|gb)$/i);
const time = numberOr(
  'a number of milliseconds, or a text such as 1d',
  /^\d*\.?\d+ *(?:milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w|years?|yrs?|y)$/i,
);
const textOrTexts = either(word, words);
const boolOrObject = either(bool, object);

const MORGAN_TOKENS =
  'url method response-time total-time date status referrer remote-addr remote-user pid http-version user-agent req res'.split(
    ' ',
  );

/** morgan fails at each request if it does not know a token. */
const morganFormat: OptionKind = {
  allowed: `a text with the tokens ${MORGAN_TOKENS.map((name) => `:${name}`).join(' ')}`,
  accepts: (value) =>
    word.accepts(value) &&
    [...String(value).matchAll(/:([-\w]{2,})/g)].every(([, name = '']) => MORGAN_TOKENS.includes(name)),
};

/** By the name of the package. */
export const CONNECT_PACKAGES: Readonly<Record<string, ConnectPackage>> = {
  compression: {
    options: {
      threshold: bytes,
      level: whole(-1, 9),
      memLevel: whole(1, 9),
      strategy: whole(0, 4),
      windowBits: whole(8, 15),
      chunkSize: whole(64),
      brotli: object,
      enforceEncoding: oneOf('gzip deflate br identity'),
      filter: code('a function'),
    },
  },
  cors: {
    options: {
      // An origin that is false in JavaScript but is not `false` would let every origin in.
      origin: either(bool, textOrTexts),
      ...sameKind(textOrTexts, 'methods allowedHeaders headers exposedHeaders'),
      ...sameKind(bool, 'credentials preflightContinue'),
      maxAge: whole(0),
      optionsSuccessStatus: whole(200, 599),
    },
  },
  'express-rate-limit': {
    options: {
      // Node's timers cannot wait longer.
      windowMs: whole(1, 2_147_483_647),
      ...sameKind(whole(0), 'limit max'),
      statusCode: whole(200, 599),
      message: anything,
      standardHeaders: either(bool, oneOf('draft-6 draft-7 draft-8')),
      ...sameKind(bool, 'legacyHeaders headers skipFailedRequests skipSuccessfulRequests passOnStoreError'),
      ...sameKind(word, 'identifier requestPropertyName'),
      validate: boolOrObject,
      ipv6Subnet: either(onlyFalse, whole(32, 64)),
      ...sameKind(code('a function'), 'keyGenerator handler skip requestWasSuccessful onLimitReached'),
      store: code('a store, an object'),
      logger: code('an object with methods', 'validate = false silences it'),
    },
  },
  'express-session': {
    texts: ['secret', 'name', 'key'],
    required: { name: 'secret', help: 'a text, or a JSON array of texts: the first one signs' },
    options: {
      secret: textOrTexts,
      ...sameKind(word, 'name key cookie.domain cookie.path'),
      ...sameKind(bool, 'resave rolling saveUninitialized proxy cookie.httpOnly cookie.partitioned'),
      unset: oneOf('destroy keep'),
      cookie: object,
      ...sameKind(either(whole(0), onlyNull), 'cookie.maxAge cookie.originalMaxAge'),
      'cookie.priority': oneOf('low medium high'),
      'cookie.sameSite': either(bool, oneOf('lax strict none')),
      'cookie.secure': either(bool, oneOf('auto')),
      store: code('a store, an object', 'for sessions without a store: use = npm:paster#session'),
      'cookie.expires': code('a Date', '"maxAge" in cookie, in milliseconds'),
      ...sameKind(code('a function'), 'genid cookie.encode'),
    },
  },
  helmet: {
    validates: true,
    otherNames: {
      frameguard: 'X-Frame-Options',
      hsts: 'Strict-Transport-Security',
      permittedCrossDomainPolicies: 'X-Permitted-Cross-Domain-Policies',
    },
    options: {
      ...sameKind(boolOrObject, 'contentSecurityPolicy crossOriginEmbedderPolicy crossOriginOpenerPolicy'),
      ...sameKind(boolOrObject, 'crossOriginResourcePolicy referrerPolicy strictTransportSecurity hsts'),
      ...sameKind(boolOrObject, 'xDnsPrefetchControl dnsPrefetchControl xFrameOptions frameguard'),
      ...sameKind(boolOrObject, 'xPermittedCrossDomainPolicies permittedCrossDomainPolicies'),
      ...sameKind(bool, 'originAgentCluster xContentTypeOptions noSniff xDownloadOptions ieNoOpen'),
      ...sameKind(bool, 'xPoweredBy hidePoweredBy xXssProtection xssFilter'),
    },
  },
  morgan: {
    first: {
      name: 'format',
      help: 'combined, common, dev, short, tiny, or a text such as :method :url :status',
      kind: morganFormat,
    },
    options: { immediate: bool, skip: code('a function'), stream: code('a stream') },
  },
  'serve-static': {
    first: { name: 'root', help: 'the directory with the files, such as %(here)s/static', kind: word },
    options: {
      ...sameKind(bool, 'acceptRanges cacheControl etag fallthrough immutable lastModified redirect'),
      dotfiles: oneOf('allow deny ignore'),
      ...sameKind(either(onlyFalse, textOrTexts), 'extensions index'),
      maxAge: time,
      setHeaders: code('a function'),
    },
  },
};

/** The same kind for several options. */
function sameKind(kind: OptionKind, names: string): Record<string, OptionKind> {
  return Object.fromEntries(names.split(' ').map((name) => [name, kind]));
}

function numberOr(allowed: string, pattern: RegExp): OptionKind {
  return {
    allowed,
    accepts: (value) => (typeof value === 'number' ? value >= 0 : typeof value === 'string' && pattern.test(value)),
  };
}

function whole(least: number, most: number = Number.MAX_SAFE_INTEGER): OptionKind {
  return {
    allowed:
      most === Number.MAX_SAFE_INTEGER ? `a whole number, ${least} or more` : `a whole number from ${least} to ${most}`,
    accepts: (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
  };
}

function oneOf(words: string): OptionKind {
  const texts = words.split(' ');
  return {
    allowed: texts.join(', '),
    accepts: (value) => typeof value === 'string' && texts.includes(value.toLowerCase()),
  };
}

function either(...kinds: readonly OptionKind[]): OptionKind {
  return {
    allowed: kinds.map(({ allowed }) => allowed).join(', or '),
    accepts: (value) => kinds.some((kind) => kind.accepts(value)),
  };
}

/** An option that takes something that only code can make. */
function code(takes: string, instead?: string): OptionKind {
  return { allowed: takes, accepts: () => false, isCode: true, instead };
}
