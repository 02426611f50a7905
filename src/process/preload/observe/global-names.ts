/** Globals that are not there: which ones packages look for when they are imported, and which ones the application adds. */

/** The object that the global object inherits from. It inherits from `Object.prototype`. */
const parent: object = Object.getPrototypeOf(globalThis);

/**
 * A proxy that the global object inherits from: Node asks it for each global that is not there, and before one is added by
 * assignment. It costs nothing for other globals.
 */
export class GlobalNames {
  readonly #sought = new Set<string>();
  #isApplication = false;
  /** The first global that the application has added for a package to see. */
  #added: string | undefined;
  #observed: object | undefined;

  /** From now on, it is noted which globals are looked for. */
  start(): void {
    if (Object.getPrototypeOf(parent) !== Object.prototype) return;
    const observed: object = new Proxy(Object.create(Object.prototype), {
      get: (target, name, receiver) => {
        this.#noteSearch(name);
        return Reflect.get(target, name, receiver);
      },
      has: (target, name) => {
        this.#noteSearch(name);
        return Reflect.has(target, name);
      },
      set: (target, name, value, receiver) => {
        if (receiver === globalThis) this.#noteAddition(String(name));
        return Reflect.set(target, name, value, receiver);
      },
    });
    Object.setPrototypeOf(parent, observed);
    this.#observed = observed;
  }

  /** To be called before the application is loaded: notes the globals that it adds, even if it removes them again. */
  noteAdditions(): void {
    this.#isApplication = true;
  }

  stop(): void {
    if (this.#observed && Object.getPrototypeOf(parent) === this.#observed) {
      Object.setPrototypeOf(parent, Object.prototype);
    }
  }

  /** A global that the application has added, and that a package may have looked for. */
  get added(): string | undefined {
    return this.#added;
  }

  /** Whether a package has looked for a global. */
  isSought(name: string): boolean {
    return this.#sought.has(name);
  }

  #noteSearch(name: string | symbol): void {
    if (!this.#isApplication) this.#sought.add(String(name));
  }

  #noteAddition(name: string): void {
    if (this.#isApplication && this.isSought(name)) this.#added ??= name;
  }
}
