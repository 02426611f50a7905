/** Prints the outcome of a test run on one line, from the test runner's JSON report: `N passed, N failed`. */
import { readFileSync } from 'node:fs';

const [file = '.test-report.json'] = process.argv.slice(2);

let report;
try {
  report = JSON.parse(readFileSync(file, 'utf8'));
} catch {
  process.stdout.write('there is no report: the tests did not run\n0 passed, 1 failed\n');
  process.exit(1);
}

const { numPassedTests: passed, numFailedTests, numFailedTestSuites, numPendingTests: skipped, success } = report;
// A suite that does not load runs none of its tests; it counts as one failure.
const failed = numFailedTests + (numFailedTests === 0 && !success ? Math.max(1, numFailedTestSuites) : 0);
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
