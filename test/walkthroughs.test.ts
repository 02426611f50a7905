/**
 * The pages that a reader follows: every file that they show is written, every command of a `console` block is typed, and
 * says what stands below it. The tutorial is one way.
 */
import { describe } from 'vitest';
import { PAGES } from './helpers/documentation.ts';
import { follow } from './helpers/follow.ts';

const ONE_WAY = new Set(['docs/tutorial.md']);

/** Pages whose files are those of a project that is there. */
const OF_A_PROJECT = new Set(['docs/scaling.md', 'docs/secrets.md']);

/** What no test can type, and why. apt-get and systemctl are typed: what stands for them is in helpers/fresh-machine.ts. */
const NOT_TYPED: readonly (readonly [RegExp, string])[] = [
  [/^npm ci && npm (?:start|test)\b/, 'installs what these tests run with, and would run them'],
  [/^curl -i https:\/\/shop\.example\.org\//, 'Caddy would have to get a certificate from the Internet'],
  [/^systemctl daemon-reload && /, 'takes systemd itself; test/integration/systemd.test.ts speaks its protocol'],
];

function isTyped(command: string): boolean {
  return !NOT_TYPED.some(([pattern]) => pattern.test(command));
}

describe('what the documentation says to do', () => {
  for (const page of PAGES) {
    follow(page, { isOneWay: ONE_WAY.has(page), isOfProject: OF_A_PROJECT.has(page), isTyped });
  }
});
