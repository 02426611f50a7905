/** Starts several workers: one after the other, or all at once. */

export interface BootFailure {
  readonly error: unknown;
}

/** Stops at the first failure and returns it. */
export async function inSequence(
  count: number,
  action: (index: number) => Promise<void>,
): Promise<BootFailure | undefined> {
  for (let index = 0; index < count; index++) {
    try {
      await action(index);
    } catch (error) {
      return { error };
    }
  }
  return undefined;
}

/** Waits for all and returns the first failure. */
export async function atOnce(
  count: number,
  action: (index: number) => Promise<void>,
): Promise<BootFailure | undefined> {
  const all = await Promise.allSettled(Array.from({ length: count }, (_each, index) => action(index)));
  const failed = all.find((each) => each.status === 'rejected');
  return failed && { error: failed.reason };
}
