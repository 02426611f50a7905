/** A filter that may refuse a request. */
export function makeGuard() {
  return (app) => app;
}
