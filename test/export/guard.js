/** A filter of the project: `export` has to assume that it may refuse requests. */
export function makeGuard() {
  return (app) => app;
}
