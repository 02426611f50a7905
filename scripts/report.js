/**
 * Prints the outcome of a test run on one line, from the test runner's JSON report: `N passed, N failed`.
 *
 *     node scripts/report.js REPORT [SECOND]   SECOND: the report of the files that failed and ran a second time
 *     node scripts/report.js --failed REPORT   the files to run a second time, a line each
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

/** More failed files than this are no accident of a busy machine, and not worth a second run. */
const MAX_SECOND_RUNS = 10;

const [first, second] = process.argv.slice(2);

if (first === '--failed') {
  const failed = [...filesOf(second)].filter(([, { failed }]) => failed > 0).map(([file]) => file);
  if (failed.length <= MAX_SECOND_RUNS) for (const file of failed) process.stdout.write(`${file}\n`);
} else {
  const files = filesOf(first);
  if (files.size === 0) process.stdout.write('there is no report: the tests did not run\n');
  const again = second === undefined ? new Map() : filesOf(second);
  for (const [file, outcome] of again) {
    process.stdout.write(`${file} failed beside others and ${outcome.failed > 0 ? 'failed' : 'passed'} alone\n`);
    files.set(file, outcome);
  }
  const sum = (status) => [...files.values()].reduce((total, outcome) => total + outcome[status], 0);
  const [passed, failed, skipped] = [sum('passed'), files.size === 0 ? 1 : sum('failed'), sum('skipped')];
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

/** How many tests of each file passed, failed and were skipped. A file that does not load counts as one failure. */
function filesOf(report) {
  let results = [];
  try {
    results = JSON.parse(readFileSync(report, 'utf8')).testResults;
  } catch {
    // Without a report there are no files.
  }
  return new Map(
    results.map(({ name, status, assertionResults }) => {
      const count = (wanted) => assertionResults.filter((test) => wanted.includes(test.status)).length;
      const failed = count(['failed']);
      return [
        relative('', name),
        {
          passed: count(['passed']),
          failed: failed === 0 && status === 'failed' ? 1 : failed,
          skipped: count(['pending', 'skipped', 'todo', 'disabled']),
        },
      ];
    }),
  );
}
