const POLL_MS = 100;

let isHidden = false;

/**
 * Hides the channel between a worker and its supervisor from a program, for good. A program that is started with `node` has no
 * channel, so it must neither see paster's messages nor close the channel, which would end the worker.
 */
export function hideChannel(): void {
  if (isHidden || !process.send) return;
  isHidden = true;
  const own = new Map(['message', 'disconnect'].map((event) => [event, process.listeners(event as 'message')]));
  const { emit, removeAllListeners } = process;
  process.emit = ((event: string, ...args: unknown[]): boolean => {
    if (event !== 'message' || !isPasters(args[0])) return Reflect.apply(emit, process, [event, ...args]);
    for (const listener of own.get(event) ?? []) Reflect.apply(listener, process, args);
    return true;
  }) as typeof process.emit;
  process.removeAllListeners = (event?: string | symbol) => {
    const kept = own.get(String(event));
    if (!kept) return Reflect.apply(removeAllListeners, process, event === undefined ? [] : [event]);
    for (const listener of process.listeners(event as 'message')) {
      if (!kept.includes(listener)) process.off(String(event), listener as () => void);
    }
    return process;
  };
  const supervisor = process.ppid;
  let timer: NodeJS.Timeout | undefined;
  // Node also calls this when the supervisor has ended, which the worker must notice. The channel closes shortly before the pid of
  // the parent process changes.
  process.disconnect = () => {
    timer ??= setInterval(() => {
      if (process.ppid === supervisor) return;
      clearInterval(timer);
      process.connected = false;
      for (const listener of own.get('disconnect') ?? []) Reflect.apply(listener, process, []);
    }, POLL_MS).unref();
  };
}

/** The messages of process/ipc/messages.ts, which this layer does not know. */
function isPasters(message: unknown): boolean {
  return typeof message === 'object' && message !== null && 'paster' in message;
}
