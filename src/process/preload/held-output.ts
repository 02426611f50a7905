/**
 * In a spare worker: holds what packages print when they are imported until the worker serves. The output is then shown once for
 * each version, where a cold start would show it. A worker that is not used shows nothing.
 */
export class HeldOutput {
  readonly #held: (() => void)[] = [];
  readonly #undo: (() => void)[] = [];
  #isEnding = false;

  start(): void {
    for (const stream of [process.stdout, process.stderr]) this.#hold(stream);
    const listeners = process.listeners('warning');
    // With --no-warnings, Node adds no listener of its own.
    if (listeners.length === 0) return;
    const hold = (warning: Error) => this.#add(() => void process.emit('warning', warning));
    for (const listener of listeners) process.off('warning', listener);
    process.on('warning', hold);
    this.#undo.push(() => {
      process.off('warning', hold);
      for (const listener of listeners) process.on('warning', listener);
    });
  }

  /** Stops holding output. The held output is shown before the next output. */
  end(): void {
    this.#isEnding = true;
  }

  show(): void {
    this.#restore();
    for (const print of this.#held.splice(0)) print();
  }

  drop(): void {
    this.#restore();
    this.#held.length = 0;
  }

  #hold(stream: NodeJS.WriteStream): void {
    const original = stream.write;
    const isOwn = Object.hasOwn(stream, 'write');
    let isHeld = true;
    const write = (...values: unknown[]): boolean => {
      const print = () => Reflect.apply(original, stream, values) as boolean;
      if (isHeld && this.#isEnding) this.show();
      if (!isHeld) return print();
      this.#add(print);
      return true;
    };
    stream.write = write;
    this.#undo.push(() => {
      isHeld = false;
      // A package may have wrapped `write` in a function of its own.
      if (stream.write !== write) return;
      if (isOwn) stream.write = original;
      else Reflect.deleteProperty(stream, 'write');
    });
  }

  #add(print: () => void): void {
    this.#held.push(print);
    if (this.#isEnding) this.show();
  }

  #restore(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }
}
