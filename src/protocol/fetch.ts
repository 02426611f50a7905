/** Web-standard handlers, `fetch(request) -> Response` (Hono, h3, Elysia, srvx): the translation is srvx's. */
import type { App } from './types.ts';

interface FetchHandler {
  fetch(request: Request): Response | PromiseLike<Response>;
}

export function isFetchHandler(value: unknown): value is FetchHandler {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    'fetch' in value &&
    typeof value.fetch === 'function'
  );
}

export async function fetchApp(handler: FetchHandler): Promise<App> {
  const { NodeRequest, patchGlobalRequest, sendNodeResponse } = await import('srvx/node');
  // Node's own constructor takes no other Request than its own, and Hono's bodyLimit gives it this one: `new Request(request, ...)`.
  patchGlobalRequest();
  return async (req, res) => {
    const response = await handler.fetch(new NodeRequest({ req, res }));
    await sendNodeResponse(res, response);
  };
}
