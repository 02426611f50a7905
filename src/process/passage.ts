/**
 * One end of an IPC channel, as far as connections go over it; the other end has one of the same kind. Whoever passes a
 * connection keeps its copy until the other side has said that it has got it, and before it has read from it: closed any
 * sooner, macOS loses what is under way, and a receiver that dies leaves no doubt which connections nobody has touched.
 */
import type { SendHandle } from 'node:child_process';
import { isConnection, type PassedConnection } from '../net/passed-connection.ts';
import type { ConnectionWord } from './messages.ts';

export class Passage {
  readonly #say: (word: ConnectionWord, connection?: PassedConnection) => void;
  readonly #receive: (connection: PassedConnection) => void;
  /** By number, in the order in which they were passed. */
  readonly #underWay = new Map<number, PassedConnection>();
  #lastId = 0;
  #wake = () => {};

  /**
   * @param say sends a word to the other side, with a connection
   * @param receive takes a connection from the other side, in the turn in which it came
   */
  constructor(
    say: (word: ConnectionWord, connection?: PassedConnection) => void,
    receive: (connection: PassedConnection) => void,
  ) {
    this.#say = say;
    this.#receive = receive;
  }

  /** How many the other side has not confirmed. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** Passes a connection to the other side. */
  pass(connection: PassedConnection): void {
    const id = ++this.#lastId;
    this.#underWay.set(id, connection);
    this.#say({ paster: 'connection', id }, connection);
  }

  /** To be called with each of the other side's words, and what came with it. */
  hear(word: ConnectionWord, connection: unknown): void {
    if (word.paster === 'taken') {
      this.#taken(word.id);
    } else if (isConnection(connection)) {
      this.#say({ paster: 'taken', id: word.id });
      this.#receive(connection);
    }
  }

  /** Resolves when the other side has all of them. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** When the other side is gone: those that it has not taken. */
  takeBack(): PassedConnection[] {
    const connections = [...this.#underWay.values()];
    this.#underWay.clear();
    return connections;
  }

  /** Words come in order: one that was sent before this one has been lost, as by a process that may open no more files. */
  #taken(id: number): void {
    for (const [each, connection] of this.#underWay) {
      if (each > id) break;
      this.#underWay.delete(each);
      connection.close();
    }
    this.#wake();
  }
}

/** For `send`, whose declaration knows only of the sockets that Node makes of such handles. */
export function asSendHandle(connection: PassedConnection | undefined): SendHandle | undefined {
  return connection as unknown as SendHandle | undefined;
}
