/** One behaviour that is observed, not described: what an application sees on node:http, it must see on the other servers. */
import type { App } from '../../../src/protocol/types.ts';
import type { ContractRequest } from '../backends/backend.ts';

/** Records what the application has seen, in order. */
export type Look = (...seen: unknown[]) => void;

export interface Case {
  readonly name: string;
  readonly request?: ContractRequest | ((client: Client) => ContractRequest);
  readonly app: (look: Look, client: Client) => App;
}

/** What an application can make its client do. */
export interface Client {
  /** Settles when `leave` is called, and the client disconnects. */
  readonly left: Promise<void>;
  leave(): void;
}

/** The result of an act: its value, or the code of the error that it threw. */
export function outcome(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return codeOf(error);
  }
}

export function codeOf(error: unknown): unknown {
  if (error === undefined || error === null) return error;
  const { code, name } = error as NodeJS.ErrnoException;
  return code ?? name;
}

/** Records each event of `emitter` under the name `who`. */
export function watch(
  look: Look,
  who: string,
  emitter: NodeJS.EventEmitter,
  events: readonly string[],
  detail: (argument: unknown) => unknown = () => undefined,
): void {
  for (const event of events) {
    emitter.on(event, (argument) => {
      const more = detail(argument);
      look(more === undefined ? `${who} ${event}` : `${who} ${event} ${more}`);
    });
  }
}
