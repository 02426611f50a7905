/**
 * What is known of middleware that many use, since its factories do not say it themselves: which setting goes before the
 * options object, which is a text whatever it looks like, what values there are, and which takes what no INI file can hold.
 */
import {
  anything,
  bool,
  bytes,
  either,
  never,
  nothing,
  object,
  oneOf,
  time,
  type ValueKind,
  whole,
  word,
  words,
} from './connect-values.ts';

export interface ConnectPackage {
  /** The setting that is the first argument; the others become the object that is the second. */
  readonly first?: { readonly name: string; readonly help: string; readonly kind: ValueKind };
  /** The setting without which each request fails. */
  readonly required?: { readonly name: string; readonly help: string };
  /** Settings that are texts, also where they look like a number. */
  readonly texts?: readonly string[];
  /** The factory refuses what cannot be, and does nothing else: it may be asked without being needed. */
  readonly isAsked?: boolean;
  /** What the package itself calls an option in its messages. */
  readonly otherNames?: Readonly<Record<string, string>>;
  /** What settings take; one that is not here can be anything. A dot leads into an object. */
  readonly values: Readonly<Record<string, ValueKind>>;
  /** Settings that take something else than a value, and what to write instead. */
  readonly unwritable: Readonly<Record<string, { readonly takes: string; readonly instead?: string }>>;
}

const FUNCTION = { takes: 'a function' };
const SWITCH = either(bool, object);
const TEXTS = either(word, words);
const FINAL_STATUS = whole(200, 599);
const STORE = { takes: 'a store, an object' };

const MORGAN_TOKENS =
  'url method response-time total-time date status referrer remote-addr remote-user pid http-version user-agent req res'.split(
    ' ',
  );

/** With a token that it does not know morgan fails at each request. */
const morganFormat: ValueKind = {
  allowed: `a text with the tokens ${MORGAN_TOKENS.map((name) => `:${name}`).join(' ')}`,
  accepts: (value) =>
    word.accepts(value) &&
    [...String(value).matchAll(/:([-\w]{2,})/g)].every(([, name]) => MORGAN_TOKENS.some((token) => token === name)),
};

/** By the name of the package. */
export const CONNECT_PACKAGES: Readonly<Record<string, ConnectPackage>> = {
  compression: {
    values: {
      threshold: bytes,
      level: whole(-1, 9),
      memLevel: whole(1, 9),
      strategy: whole(0, 4),
      windowBits: whole(8, 15),
      chunkSize: whole(64),
      brotli: object,
      enforceEncoding: oneOf('gzip', 'deflate', 'br', 'identity'),
    },
    unwritable: { filter: { ...FUNCTION, instead: 'leave it out: what is text or JSON is compressed' } },
  },
  cors: {
    values: {
      // What is false in JavaScript without being false here would let every origin in.
      origin: either(bool, TEXTS),
      methods: TEXTS,
      allowedHeaders: TEXTS,
      headers: TEXTS,
      exposedHeaders: TEXTS,
      credentials: bool,
      maxAge: whole(0),
      preflightContinue: bool,
      optionsSuccessStatus: FINAL_STATUS,
    },
    unwritable: {},
  },
  'express-rate-limit': {
    values: {
      // The most that a timer of Node's takes.
      windowMs: whole(1, 2_147_483_647),
      limit: whole(0),
      max: whole(0),
      statusCode: FINAL_STATUS,
      message: anything,
      standardHeaders: either(bool, oneOf('draft-6', 'draft-7', 'draft-8')),
      legacyHeaders: bool,
      headers: bool,
      identifier: word,
      requestPropertyName: word,
      skipFailedRequests: bool,
      skipSuccessfulRequests: bool,
      passOnStoreError: bool,
      validate: SWITCH,
      ipv6Subnet: either(never, whole(32, 64)),
    },
    unwritable: {
      keyGenerator: { ...FUNCTION, instead: 'leave it out: clients are told apart by their address' },
      handler: { ...FUNCTION, instead: 'message and statusCode say what is answered' },
      skip: FUNCTION,
      requestWasSuccessful: FUNCTION,
      onLimitReached: FUNCTION,
      store: STORE,
      logger: { takes: 'an object with methods', instead: 'validate = false silences it' },
    },
  },
  'express-session': {
    texts: ['secret', 'name', 'key'],
    required: { name: 'secret', help: 'a text, or a JSON array of them of which the first signs' },
    values: {
      secret: TEXTS,
      name: word,
      key: word,
      resave: bool,
      rolling: bool,
      saveUninitialized: bool,
      proxy: bool,
      unset: oneOf('destroy', 'keep'),
      cookie: object,
      'cookie.domain': word,
      'cookie.path': word,
      'cookie.httpOnly': bool,
      'cookie.maxAge': either(whole(0), nothing),
      'cookie.originalMaxAge': either(whole(0), nothing),
      'cookie.partitioned': bool,
      'cookie.priority': oneOf('low', 'medium', 'high'),
      'cookie.sameSite': either(bool, oneOf('lax', 'strict', 'none')),
      'cookie.secure': either(bool, oneOf('auto')),
    },
    unwritable: {
      genid: FUNCTION,
      store: { ...STORE, instead: 'for sessions without a store: use = npm:paster#session' },
      'cookie.expires': { takes: 'a Date', instead: '"maxAge" in cookie, in milliseconds' },
      'cookie.encode': FUNCTION,
    },
  },
  helmet: {
    isAsked: true,
    otherNames: {
      frameguard: 'X-Frame-Options',
      hsts: 'Strict-Transport-Security',
      permittedCrossDomainPolicies: 'X-Permitted-Cross-Domain-Policies',
    },
    values: {
      contentSecurityPolicy: SWITCH,
      crossOriginEmbedderPolicy: SWITCH,
      crossOriginOpenerPolicy: SWITCH,
      crossOriginResourcePolicy: SWITCH,
      originAgentCluster: bool,
      referrerPolicy: SWITCH,
      strictTransportSecurity: SWITCH,
      hsts: SWITCH,
      xContentTypeOptions: bool,
      noSniff: bool,
      xDnsPrefetchControl: SWITCH,
      dnsPrefetchControl: SWITCH,
      xDownloadOptions: bool,
      ieNoOpen: bool,
      xFrameOptions: SWITCH,
      frameguard: SWITCH,
      xPermittedCrossDomainPolicies: SWITCH,
      permittedCrossDomainPolicies: SWITCH,
      xPoweredBy: bool,
      hidePoweredBy: bool,
      xXssProtection: bool,
      xssFilter: bool,
    },
    unwritable: {},
  },
  morgan: {
    first: {
      name: 'format',
      help: 'combined, common, dev, short, tiny, or a text such as :method :url :status',
      kind: morganFormat,
    },
    values: { immediate: bool },
    unwritable: {
      skip: FUNCTION,
      stream: { takes: 'a stream', instead: 'the lines go to standard output' },
    },
  },
  'serve-static': {
    first: { name: 'root', help: 'the directory with the files, such as %(here)s/static', kind: word },
    values: {
      acceptRanges: bool,
      cacheControl: bool,
      dotfiles: oneOf('allow', 'deny', 'ignore'),
      etag: bool,
      extensions: either(never, TEXTS),
      fallthrough: bool,
      immutable: bool,
      index: either(never, TEXTS),
      lastModified: bool,
      maxAge: time,
      redirect: bool,
    },
    unwritable: { setHeaders: { ...FUNCTION, instead: 'cacheControl, maxAge and immutable set the usual ones' } },
  },
};
