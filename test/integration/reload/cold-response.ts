/** What an application responds in a process or a thread that has loaded nothing before. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

const RESPOND =
  'import(file).then(({ makeApp, default: app }) => makeApp?.() ?? app).then((app) => app({}, { end: respond }));';
const THREAD = `const { parentPort, workerData: file } = require('node:worker_threads');
const respond = (text) => parentPort.postMessage(text);
${RESPOND}`;
const PROCESS = `const file = process.argv[1];
const respond = (text) => { process.stdout.write(text); process.exit(); };
${RESPOND}`;

/**
 * The response of an application in a new thread. A thread has its own globals, modules and variables, like a process, and needs half
 * the processor time. It does not have its own working directory.
 */
export async function coldResponse(directory: string, file = 'app.js'): Promise<string> {
  const thread = new Worker(THREAD, {
    eval: true,
    workerData: pathToFileURL(join(directory, file)).href,
    env: { ...process.env },
    stdout: true,
    stderr: true,
  });
  try {
    return String(await new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject)));
  } finally {
    await thread.terminate();
  }
}

/** The response of an application in a new process, which runs in the application's directory. */
export function coldProcessResponse(directory: string, file = 'app.js'): string {
  const args = ['-e', PROCESS, join(directory, file)];
  return execFileSync(process.execPath, args, { cwd: directory, encoding: 'utf8' });
}
