/** The environment variables: which ones packages read when they are imported, and which of these the application sets. */
import { syncBuiltinESMExports } from 'node:module';
import { sep } from 'node:path';

/** V8, functions of node:os and OpenSSL read these from the system, past `process.env`, so any package may have read them. */
const READ_BY_NODE = ['TZ', 'HOME', 'TMPDIR', 'TMP', 'TEMP', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];

/** The package `debug` lists all variables to find its own, and does not depend on the others. */
const READS_OWN_VARIABLES = `${sep}node_modules${sep}debug${sep}src${sep}`;

/** Recorded instead of a name if a package lists the variables. */
const LIST = 'the list of variables';

export class EnvironmentAccess {
  /** The variables that packages have read by name, each with its value at the first read. */
  readonly #values = new Map<string, string | undefined>();
  /** The names of all variables when a package listed them; undefined: none did. */
  #names: string | undefined;
  readonly #env = process.env;
  readonly #recent = new Set<string>();
  /** The object that replaces `process.env` while reads are noted. */
  #observed: NodeJS.ProcessEnv | undefined;
  #isApplication = false;
  /** The first variable that the application has set to another value than a package has read. */
  #written: string | undefined;

  /** The variables, without noting that they are read. */
  get variables(): NodeJS.ProcessEnv {
    return this.#env;
  }

  /** Whether `process.env` is another object than before. */
  get isReplaced(): boolean {
    return process.env !== (this.#observed ?? this.#env);
  }

  /** The names that may have been read since the last call. */
  takeRecent(): ReadonlySet<string> {
    const recent = new Set([...READ_BY_NODE, ...this.#recent]);
    this.#recent.clear();
    return recent;
  }

  /** Notes reads from now on. */
  start(): void {
    for (const name of READ_BY_NODE) this.#values.set(name, this.#env[name]);
    const read = (name: string | symbol) => this.#noteRead(name);
    this.#observed = new Proxy(this.#env, {
      get: (env, name) => {
        read(name);
        return Reflect.get(env, name);
      },
      // A package may keep this object and write to it later, which `process.env` allows and a property of it does not.
      set: (env, name, value) => {
        this.#noteWrite(name, String(value));
        return Reflect.set(env, name, value);
      },
      defineProperty: (env, name, attributes) => {
        this.#noteWrite(name, String(attributes.value));
        return Reflect.defineProperty(env, name, attributes);
      },
      deleteProperty: (env, name) => {
        this.#noteWrite(name, undefined);
        return Reflect.deleteProperty(env, name);
      },
      has: (env, name) => {
        read(name);
        return Reflect.has(env, name);
      },
      getOwnPropertyDescriptor: (env, name) => {
        read(name);
        return Reflect.getOwnPropertyDescriptor(env, name);
      },
      ownKeys: (env) => {
        if (!this.#isApplication && !new Error().stack?.includes(READS_OWN_VARIABLES)) {
          this.#recent.add(LIST);
          this.#names ??= namesOf(env);
        }
        return Reflect.ownKeys(env);
      },
    });
    process.env = this.#observed;
    syncBuiltinESMExports();
  }

  /** To be called before the application is loaded: notes the variables that it sets, even if it sets them back. */
  noteWrites(): void {
    this.#isApplication = true;
  }

  /** Gives the application Node's own object. Call `syncBuiltinESMExports` afterwards. */
  stop(): void {
    if (!this.#observed || this.isReplaced) return;
    process.env = this.#env;
  }

  /** A variable that the application has changed after a package had read it. */
  changed(): string | undefined {
    if (this.#written !== undefined) return this.#written;
    for (const [name, value] of this.#values) if (this.#env[name] !== value) return name;
    return this.#names !== undefined && this.#names !== namesOf(this.#env) ? LIST : undefined;
  }

  #noteRead(name: string | symbol): void {
    if (this.#isApplication || typeof name !== 'string') return;
    this.#recent.add(name);
    if (!this.#values.has(name)) this.#values.set(name, this.#env[name]);
  }

  #noteWrite(name: string | symbol, value: string | undefined): void {
    if (!this.#isApplication || typeof name !== 'string') return;
    if (this.#values.has(name) && this.#values.get(name) !== value) this.#written ??= name;
    const isListed = value === undefined ? name in this.#env : !(name in this.#env);
    if (this.#names !== undefined && isListed) this.#written ??= LIST;
  }
}

function namesOf(env: NodeJS.ProcessEnv): string {
  return Object.keys(env).sort().join('\n');
}
