/** Functions of Node that are replaced for a while by ones that note their calls. */

export type Functions = Record<string, (...args: unknown[]) => unknown>;

export class NotedFunctions {
  #isNoting = true;
  readonly #undo: (() => void)[] = [];

  /** @param note gets the arguments of each call, and its object, until `restore`. A function that is not there is left out. */
  replace(target: Functions, name: string, note: (args: readonly unknown[], owner: unknown) => void): void {
    const original = target[name];
    if (!original) return;
    const isNoting = () => this.#isNoting;
    // A package or the application may keep it.
    const noting = function (this: unknown, ...args: unknown[]): unknown {
      if (isNoting()) note(args, this);
      return Reflect.apply(original, this, args);
    };
    Object.defineProperties(noting, Object.getOwnPropertyDescriptors(original));
    target[name] = noting;
    this.#undo.push(() => {
      // A package may have put a function of its own around it.
      if (target[name] === noting) target[name] = original;
    });
  }

  /** To be followed by `syncBuiltinESMExports`. */
  restore(): void {
    this.#isNoting = false;
    for (const undo of this.#undo.splice(0)) undo();
  }
}
