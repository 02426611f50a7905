/** An event that happens in one place and is waited for in another, such as a request that has reached its application. */
export interface Signal {
  readonly fired: Promise<void>;
  readonly fire: () => void;
}

export function signal(): Signal {
  let fire = (): void => {};
  const fired = new Promise<void>((resolve) => {
    fire = resolve;
  });
  return { fired, fire };
}
