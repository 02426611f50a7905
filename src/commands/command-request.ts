/** How an application can tell a request of the command line from one of a client, which cannot set this. */
import type { IncomingMessage } from 'node:http';

interface CommandRequest extends IncomingMessage {
  commandRequest?: true;
}

export function markCommandRequest(req: CommandRequest): void {
  req.commandRequest = true;
}
