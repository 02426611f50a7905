/** The time from the command to the first response, and the memory of the process that responds, compared with `node server.js`. */
import { Agent } from 'node:http';
import { freePort, memoryOf, Program } from '../measure/program.js';
import { median, roundsOf, spread, takeTurns } from '../measure/rounds.js';
import { ask, firstAnswer } from './ask.js';
import { bareServer, inDirectory, iniFile, serve } from './site.js';

const ROUNDS = roundsOf(21);
/** Requests before the memory is measured, so that it is that of a server at work. */
const REQUESTS = 500;
const MIB = 2 ** 20;

const APP = 'export default (req, res) => res.end(String(process.pid));\n';

/** @returns {Promise<import('../report/table.js').Row[]>} */
export async function starting() {
  const port = await freePort();
  const files = { 'app.js': APP, 'server.js': bareServer(port), 'x.ini': iniFile(port) };
  return inDirectory(files, async (directory) => {
    const commands = {
      node: [process.execPath, 'server.js'],
      serve: serve('x.ini'),
      'serve -w 1': serve('x.ini', '-w', '1'),
      'serve --reload': serve('x.ini', '--reload'),
    };
    const turns = Object.entries(commands).map(([name, command]) => [name, () => start(command, directory, port)]);
    await takeTurns(Object.fromEntries(turns), 1);
    const found = await takeTurns(Object.fromEntries(turns), ROUNDS);
    const more = (name, measure) => difference(name, measure, found[name], found.node);
    return [
      limited(more('serve', 'time'), 60),
      more('serve', 'cpu'),
      more('serve -w 1', 'time'),
      more('serve --reload', 'time'),
      limited(more('serve', 'memory'), 12),
      limited(more('serve -w 1', 'memory'), 12),
    ];
  });
}

/** Milliseconds to the first response, by the clock and of the processors, and MiB of the process that responds. */
async function start(command, directory, port) {
  const began = performance.now();
  const program = await Program.start(command, { cwd: directory });
  try {
    const pid = Number(await firstAnswer(port));
    const time = performance.now() - began;
    const cpu = program.cpuOfStart();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let round = 0; round < REQUESTS; round++) await ask(port, { agent });
    agent.destroy();
    return { time, cpu, memory: memoryOf(pid).now / MIB };
  } finally {
    await program.stop();
  }
}

const WHAT = {
  time: 'to the first response',
  cpu: 'to the first response, processor time',
  memory: 'memory of the process that responds',
};

function difference(name, measure, ours, theirs) {
  const [one, other] = [ours, theirs].map((rounds) => rounds.map((round) => round[measure]));
  const figure = median(one) - median(other);
  const unit = measure === 'memory' ? 'MiB' : 'ms';
  return {
    what: `${name} - node server.js: ${WHAT[measure]}`,
    figure: `${figure < 0 ? '' : '+'}${figure.toFixed(1)} ${unit}`,
    goal: '',
    met: undefined,
    detail: `${spread(one, unit)} to ${spread(other, unit)}`,
    number: figure,
    unit,
  };
}

function limited({ number, unit, ...row }, limit) {
  return { ...row, goal: `<= +${limit} ${unit}`, met: number <= limit };
}
