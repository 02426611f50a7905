/**
 * The requests in flight on a connection, by their ids. Nearly always there is one at most, which needs no Map: making and
 * dropping an entry a request would be a good part of what the connection allocates.
 */
import type { ActiveRequest } from './active-request.ts';

export class RequestTable {
  #first: ActiveRequest | undefined;
  #others: Map<number, ActiveRequest> | undefined;

  get size(): number {
    return (this.#first === undefined ? 0 : 1) + (this.#others?.size ?? 0);
  }

  get(id: number): ActiveRequest | undefined {
    return this.#first?.id === id ? this.#first : this.#others?.get(id);
  }

  add(request: ActiveRequest): void {
    if (this.#first === undefined) {
      this.#first = request;
      return;
    }
    this.#others ??= new Map();
    this.#others.set(request.id, request);
  }

  /** False: it was not there (any more). */
  remove(request: ActiveRequest): boolean {
    if (this.#first === request) {
      this.#first = undefined;
      return true;
    }
    return this.#others?.get(request.id) === request && this.#others.delete(request.id);
  }

  all(): ActiveRequest[] {
    return [...(this.#first === undefined ? [] : [this.#first]), ...(this.#others?.values() ?? [])];
  }

  clear(): void {
    this.#first = undefined;
    this.#others = undefined;
  }
}
