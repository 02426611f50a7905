/** docs/errors.md has every message of the sources, in a form that a search finds. */
import { describe, expect, test } from 'vitest';
import { readPage } from '../helpers/documentation/documentation.ts';
import { allMessages, isMessage } from '../helpers/documentation/messages.ts';

const MESSAGES = allMessages();
const SHOWN = [...readPage('docs/errors.md').matchAll(/^\| `(.+?)` \|/gm)].map(([, text = '']) => text);

describe('docs/errors.md', () => {
  test('the sources have messages', () => {
    expect(MESSAGES.length).toBeGreaterThan(300);
    expect(MESSAGES.map(({ text }) => text)).toContain('there is no user "…"');
    expect(MESSAGES.map(({ text }) => text)).toContain('unknown setting "…"');
  });

  test('has every message', () => {
    const missing = MESSAGES.filter(({ text }) => !SHOWN.some((row) => isMessage(row, text)));
    expect(missing.map(({ place, text }) => `src/${place}: ${text}`)).toEqual([]);
  });

  test('has no message that the sources do not have', () => {
    const stale = SHOWN.filter((row) => !MESSAGES.some(({ text }) => isMessage(row, text)));
    expect(stale).toEqual([]);
  });
});
