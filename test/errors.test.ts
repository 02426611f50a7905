/** docs/errors.md has every message that the sources can say, in a form in which it is found by searching. */
import { describe, expect, test } from 'vitest';
import { readPage } from './helpers/documentation.ts';
import { allMessages } from './helpers/messages.ts';

const MESSAGES = allMessages();
const SHOWN = [...readPage('docs/errors.md').matchAll(/^\| `(.+?)` \|/gm)].map(([, text = '']) => text);

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** What of a row is the message: file, section or option stand before it. */
function matches(message: string, row: string): boolean {
  const pattern = message.split('…').map(escaped).join('.*');
  return new RegExp(`^(?:.*?(?:: |\\] ))?${pattern}$`).test(row);
}

describe('docs/errors.md', () => {
  test('the sources say something', () => {
    expect(MESSAGES.length).toBeGreaterThan(300);
    expect(MESSAGES.map(({ text }) => text)).toContain('there is no user "…"');
    expect(MESSAGES.map(({ text }) => text)).toContain('unknown setting "…"');
  });

  test('has every message', () => {
    const missing = MESSAGES.filter(({ text }) => !SHOWN.some((row) => matches(text, row)));
    expect(missing.map(({ place, text }) => `src/${place}: ${text}`)).toEqual([]);
  });

  test('has no message that nothing says', () => {
    // The command line's own parser says these.
    const foreign = [/^serve: unknown option/];
    const stale = SHOWN.filter((row) => ![...foreign].some((each) => each.test(row))).filter(
      (row) => !MESSAGES.some(({ text }) => matches(text, row)),
    );
    expect(stale).toEqual([]);
  });
});
