/**
 * What is known of middleware that many use, since its factories do not say it themselves: which setting goes before the
 * options object, which is a text whatever it looks like, and which takes what no INI file can hold.
 */

export interface ConnectPackage {
  /** The setting that is the first argument; the others become the object that is the second. */
  readonly first?: { readonly name: string; readonly help: string };
  /** Settings that are texts, also where they look like a number. */
  readonly texts?: readonly string[];
  /** Settings that take something else than a value, and what to write instead. A dot leads into an object. */
  readonly unwritable: Readonly<Record<string, { readonly takes: string; readonly instead?: string }>>;
}

const FUNCTION = { takes: 'a function' };
const STORE = { takes: 'a store, an object' };

/** By the name of the package. */
export const CONNECT_PACKAGES: Readonly<Record<string, ConnectPackage>> = {
  compression: { unwritable: { filter: { ...FUNCTION, instead: 'leave it out: what is text or JSON is compressed' } } },
  cors: { unwritable: {} },
  'express-rate-limit': {
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
    unwritable: {
      genid: FUNCTION,
      store: { ...STORE, instead: 'for sessions without a store: use = npm:paster#session' },
      'cookie.expires': { takes: 'a Date', instead: '"maxAge" in cookie, in milliseconds' },
      'cookie.encode': FUNCTION,
    },
  },
  helmet: { unwritable: {} },
  morgan: {
    first: { name: 'format', help: 'combined, common, dev, short, tiny, or a text such as :method :url :status' },
    unwritable: {
      skip: FUNCTION,
      stream: { takes: 'a stream', instead: 'the lines go to standard output' },
    },
  },
  'serve-static': {
    first: { name: 'root', help: 'the directory with the files, such as %(here)s/static' },
    unwritable: { setHeaders: { ...FUNCTION, instead: 'cacheControl, maxAge and immutable set the usual ones' } },
  },
};
