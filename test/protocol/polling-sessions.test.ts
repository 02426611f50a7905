/** Engine.IO with several workers: a warning at the first request that polls. */
import type { IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { warnOfPollingSessions } from '../../src/protocol/polling-sessions.ts';
import type { App } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

const app: App = () => {};

function warningsFor(workers: number, ...urls: string[]): string[] {
  const warnings: string[] = [];
  const watched = warnOfPollingSessions(app, workers, (message) => void warnings.push(message));
  for (const url of urls) watched({ url } as IncomingMessage, {} as never);
  return warnings;
}

test('warns only if Engine.IO is loaded, with several workers, and only once', () => {
  const poll = '/socket.io/?EIO=4&transport=polling&t=x';
  expect(warnOfPollingSessions(app, 2, () => {})).toBe(app);
  const directory = temporaryDirectory({ 'node_modules/engine.io/index.js': '' });
  createRequire(join(directory, 'app.js'))('engine.io');
  expect(warnOfPollingSessions(app, 1, () => {})).toBe(app);
  expect(warningsFor(2, '/', '/socket.io/?EIO=4&transport=websocket')).toEqual([]);
  expect(warningsFor(3, poll, poll)).toEqual([
    expect.stringContaining('only one of the 3 workers knows the session of a client'),
  ]);
});
