/** Passes what the processes of a server log and print to the clients of `paster control logs`. */
import { type FollowedLine, followOutput } from '../../logging/follow.ts';
import type { SendPiece } from './control-socket.ts';

type Take = (line: FollowedLine) => void;
/** Tells a worker from which level on its lines are wanted; undefined: none. */
export type SetLevel = (level: number | undefined) => void;

/** The most lines that wait for a slow client. Further ones are dropped and counted. */
const MAX_WAITING = 1000;

const clients = new Map<Take, number>();
const workers = new Set<SetLevel>();
let stopOwn = (): void => {};

/** Sends the lines of all processes until the client has gone. */
export async function sendLogs(level: number, send: SendPiece, gone: AbortSignal): Promise<void> {
  const take = droppingLines(send);
  clients.set(take, level);
  setLevels();
  await new Promise<void>((resolve) => {
    if (gone.aborted) resolve();
    else gone.addEventListener('abort', () => resolve(), { once: true });
  });
  clients.delete(take);
  setLevels();
}

/**
 * Adds a worker whose lines the clients get too.
 * @returns a function that removes it
 */
export function addLogSource(setLevel: SetLevel): () => void {
  workers.add(setLevel);
  if (clients.size > 0) setLevel(lowestLevel());
  return () => void workers.delete(setLevel);
}

/** Takes a line of a worker, or of this process. */
export function takeLogLine(line: FollowedLine): void {
  for (const [take, level] of clients) if (line.level >= level) take(line);
}

/** Sends lines as fast as the client takes them. Of the lines beyond MAX_WAITING it sends only the last, with the number of lost ones. */
export function droppingLines(send: (line: FollowedLine) => Promise<void>): Take {
  let waiting = 0;
  let lost = 0;
  let last: FollowedLine | undefined;
  const take = (line: FollowedLine): void => {
    // Once a line has been held back, further ones are too, until the client has taken all: so they stay in their order.
    if (last || waiting >= MAX_WAITING) {
      if (last) lost += 1 + (last.lost ?? 0);
      last = line;
      return;
    }
    waiting++;
    void send(line).then(() => {
      waiting--;
      if (waiting > 0 || !last) return;
      const rest = { ...last, lost: lost + (last.lost ?? 0) };
      last = undefined;
      lost = 0;
      take(rest);
    });
  };
  return take;
}

function lowestLevel(): number | undefined {
  return clients.size === 0 ? undefined : Math.min(...clients.values());
}

function setLevels(): void {
  const level = lowestLevel();
  stopOwn();
  stopOwn = level === undefined ? () => {} : followOutput(level, takeLogLine);
  for (const setLevel of workers) setLevel(level);
}
