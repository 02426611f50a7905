/**
 * A bounded queue that no single client can fill: clients take turns, and when it is full the client with the most items
 * loses its newest one.
 */

export class FairQueue<T> {
  readonly #limit: number;
  /** Clients in the order of their turns, each with its own items from the oldest to the newest. */
  readonly #byClient = new Map<string, T[]>();
  #size = 0;

  /** @param limit how many items of all clients may wait */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Adds an item.
   * @returns the item that no longer has a place, if the queue was full: the newest of the client that has the most, which
   * may be the one just added.
   */
  push(client: string, item: T): T | undefined {
    const items = this.#byClient.get(client);
    if (items) items.push(item);
    else this.#byClient.set(client, [item]);
    this.#size++;
    return this.#size > this.#limit ? this.#drop(client) : undefined;
  }

  /** Takes the oldest item of the client whose turn it is. */
  shift(): T | undefined {
    const [turn] = this.#byClient;
    if (turn === undefined) return undefined;
    const [client, items] = turn;
    const item = items.shift();
    this.#size--;
    this.#byClient.delete(client);
    if (items.length > 0) this.#byClient.set(client, items);
    return item;
  }

  /** Where several have as many, the client that has just added an item loses it again. */
  #drop(newcomer: string): T | undefined {
    let [client, most] = [newcomer, this.#byClient.get(newcomer)?.length ?? 0];
    for (const [each, { length }] of this.#byClient) if (length > most) [client, most] = [each, length];
    const dropped = this.#byClient.get(client)?.pop();
    this.#size--;
    if (most === 1) this.#byClient.delete(client);
    return dropped;
  }
}
