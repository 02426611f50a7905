import { expect, test } from 'vitest';
import { LineBatch } from '../../src/logging/output/line-file.ts';

test('returns the lines that were added, however long and in any script', () => {
  const batch = new LineBatch();
  const lines = ['', 'one', 'é€😀', '\ud800', 'x'.repeat(20_000), '€'.repeat(200_000), ...Array(5000).fill('short')];
  for (const _ of [1, 2]) {
    for (const line of lines) batch.add(line);
    const text = lines.map((line) => `${line}\n`).join('');
    expect(batch.length).toBe(text.length);
    const expected = Buffer.from(text);
    const taken = batch.take();
    expect(taken.equals(expected)).toBe(true);
    expect([batch.length, batch.take().length]).toEqual([0, 0]);
    // Later lines are written to another buffer.
    batch.add('!'.repeat(100));
    expect(taken.equals(expected)).toBe(true);
    batch.take();
  }
});
