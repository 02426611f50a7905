/**
 * Looks into the main thread of a process by V8's inspector, from another thread: also while the main thread is blocked. No port is
 * opened. A process without workers does it in its main thread.
 */
import { type Debugger, type HeapProfiler, type InspectorNotification, Session } from 'node:inspector';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RequestReport } from '../../metrics/server-status.ts';

/** What to find out. */
export type Inspection =
  /** A profile of the processor time of some seconds: the text of a .cpuprofile file. */
  | { readonly method: 'profile'; readonly seconds: number }
  /** All objects: the text of a .heapsnapshot file. */
  | { readonly method: 'heap' }
  /** Where the main thread is: a `MainThread`. */
  | { readonly method: 'stack' }
  /** Evaluates an expression in the main thread; the result is its value as text. */
  | { readonly method: 'evaluate'; readonly expression: string };

/** Where the main thread is, and which requests it holds. */
export interface MainThread {
  readonly frames: readonly string[];
  readonly requests: readonly RequestReport[];
}

/** How the inspector gets to the main thread. */
export const FROM_THREAD = (session: Session): void => session.connectToMainThread();
export const FROM_MAIN = (session: Session): void => session.connect();

/** A text is sent in pieces of this length. */
const PIECE = 65_536;
const MAX_FRAMES = 20;
/** How long to wait for the main thread to pause. It pauses in JavaScript, but not while it waits for the system. */
const PAUSE_MS = 1000;

/**
 * @param send takes pieces of a long text, one after the other
 * @param cancelled ends a profile early
 * @throws Error of the inspector
 */
export async function inspect(
  what: Inspection,
  connect: (session: Session) => void,
  send: (piece: string) => Promise<void>,
  cancelled: AbortSignal,
): Promise<unknown> {
  const session = new Session();
  connect(session);
  try {
    switch (what.method) {
      case 'profile':
        return await profile(session, what.seconds, send, cancelled);
      case 'heap':
        return await heapSnapshot(session, send);
      case 'stack':
        return await mainThread(session, PAUSE_MS);
      case 'evaluate':
        return await evaluate(session, what.expression);
    }
  } finally {
    session.disconnect();
  }
}

async function profile(
  session: Session,
  seconds: number,
  send: (piece: string) => Promise<void>,
  cancelled: AbortSignal,
): Promise<void> {
  await post(session, 'Profiler.enable');
  await post(session, 'Profiler.start');
  await sleep(seconds * 1000, undefined, { signal: cancelled }).catch(() => {});
  const { profile: found } = await post<{ profile: object }>(session, 'Profiler.stop');
  const text = JSON.stringify(found);
  for (let at = 0; at < text.length; at += PIECE) await send(text.slice(at, at + PIECE));
}

async function heapSnapshot(session: Session, send: (piece: string) => Promise<void>): Promise<void> {
  let sent = Promise.resolve();
  session.on(
    'HeapProfiler.addHeapSnapshotChunk',
    ({ params }: InspectorNotification<HeapProfiler.AddHeapSnapshotChunkEventDataType>) => {
      sent = sent.then(() => send(params.chunk));
    },
  );
  await post(session, 'HeapProfiler.takeHeapSnapshot', { reportProgress: false });
  await sent;
}

/** The meter of the process, which all copies of paster share. */
const REQUESTS = `JSON.stringify(globalThis[Symbol.for('paster.meter')]?.inFlight() ?? [])`;

/** Undefined if it waits for the system, in something like execSync. */
export async function mainThread(session: Session, limit: number): Promise<MainThread | undefined> {
  const paused = new Promise<InspectorNotification<Debugger.PausedEventDataType>>((resolve) => {
    session.once('Debugger.paused', resolve);
  });
  // The frames of an ECMAScript module come without its URL; the list of scripts has it.
  const urls = new Map<string, string>();
  session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url));
  session.post('Debugger.enable');
  session.post('Debugger.pause');
  const event = await Promise.race([paused, sleep(limit)]);
  if (!event) return undefined;
  const { callFrames } = event.params;
  const found = await post<{ result: { value?: unknown } }>(session, 'Debugger.evaluateOnCallFrame', {
    callFrameId: callFrames[0]?.callFrameId,
    expression: REQUESTS,
    silent: true,
  }).catch(() => undefined);
  session.post('Debugger.resume');
  const text = found?.result.value;
  return {
    frames: callFrames.slice(0, MAX_FRAMES).map((frame) => frameLine(frame, urls)),
    requests: typeof text === 'string' ? (JSON.parse(text) as RequestReport[]) : [],
  };
}

function frameLine({ functionName, location }: Debugger.CallFrame, urls: ReadonlyMap<string, string>): string {
  const url = urls.get(location.scriptId) ?? '';
  const file = url.startsWith('file:') ? fileURLToPath(url) : url;
  return `at ${functionName || '<anonymous>'} (${file}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1})`;
}

interface RemoteObject {
  readonly objectId?: string;
  readonly value?: unknown;
  readonly unserializableValue?: string;
  readonly description?: string;
}

interface Evaluated {
  readonly result: RemoteObject;
  readonly exceptionDetails?: { readonly text: string; readonly exception?: RemoteObject };
}

const SHOW = `function () { return process.getBuiltinModule('node:util').inspect(this); }`;

async function evaluate(session: Session, expression: string): Promise<string> {
  const { result, exceptionDetails } = await post<Evaluated>(session, 'Runtime.evaluate', {
    expression,
    replMode: true,
    awaitPromise: true,
  });
  if (exceptionDetails) {
    const { exception, text } = exceptionDetails;
    return `Uncaught ${exception?.description ?? String(exception?.value ?? text)}`;
  }
  if (result.objectId === undefined) return result.unserializableValue ?? shownPrimitive(result.value);
  const shown = await post<Evaluated>(session, 'Runtime.callFunctionOn', {
    objectId: result.objectId,
    functionDeclaration: SHOW,
  });
  return String(shown.result.value);
}

function shownPrimitive(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function post<T>(session: Session, method: string, params: object = {}): Promise<T> {
  return new Promise((resolve, reject) => {
    session.post(method, params, (error, result) => {
      if (error) reject(new Error(`${method}: ${error.message}`));
      else resolve(result as T);
    });
  });
}
