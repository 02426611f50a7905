/**
 * Reports what skipped tests need, once for a whole run: the workers of the test runner note it in a directory, and the
 * reporter prints it at the end.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Reporter } from 'vitest/node';

/** The environment variable by which workers find the directory. */
const VARIABLE = 'PASTER_TEST_SKIPPED';

/** Records that tests are skipped. @param need what they need, such as `nginx` */
export function noteSkipped(need: string): void {
  const directory = process.env[VARIABLE];
  if (directory === undefined) process.stderr.write(`skipped: no ${need}\n`);
  else mkdirSync(join(directory, encodeURIComponent(need)), { recursive: true });
}

export default class SkippedReporter implements Reporter {
  #directory = '';

  onTestRunStart(): void {
    this.#directory = mkdtempSync(join(tmpdir(), 'paster-skipped-'));
    process.env[VARIABLE] = this.#directory;
  }

  onTestRunEnd(): void {
    const needs = readdirSync(this.#directory).map(decodeURIComponent).sort();
    rmSync(this.#directory, { recursive: true });
    if (needs.length > 0) process.stdout.write(`\n Skipped tests need: ${needs.join(', ')}\n`);
  }
}
