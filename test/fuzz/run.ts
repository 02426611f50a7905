/** `npm run fuzz -- [--only TARGET] [--seed N] [--count N] [--seconds N]`: fuzzes each target, for 30 seconds by default. */
import { parseArgs } from 'node:util';
import { fuzz, TARGETS } from './fuzz.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seed: { type: 'string' },
    count: { type: 'string' },
    seconds: { type: 'string' },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const bounds = values.count === undefined ? { seconds: Number(values.seconds ?? 30) } : { count: Number(values.count) };
const targets = TARGETS.filter((each) => values.only === undefined || each.name === values.only);

// An error that nothing catches would end the process of a real server.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => fail(error));
}

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
}

if (targets.length === 0) fail(`no target ${values.only} (there are: ${TARGETS.map((each) => each.name).join(', ')})`);
for (const target of targets) {
  process.stdout.write(`${target.name}: seed ${seed}\n`);
  try {
    process.stdout.write(`${target.name}: ${await fuzz(target, { seed, ...bounds })} cases\n`);
  } catch (error) {
    fail(error);
  }
}
