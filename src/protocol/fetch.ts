/** Web-standard handlers, `fetch(request) -> Response` (Hono, h3, Elysia, srvx): the translation is srvx's. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { App } from './types.ts';

interface FetchHandler {
  fetch(request: Request, env: NodePair): Response | PromiseLike<Response>;
}

/** What @hono/node-server gives as `c.env`. srvx and h3 have it of the request, as `request.runtime.node`. */
interface NodePair {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** By this header Hono says that it has answered by `outgoing` itself. */
const ALREADY_SENT = 'x-hono-already-sent';

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
    const response = await handler.fetch(new NodeRequest({ req, res }), { incoming: req, outgoing: res });
    if (response.headers.has(ALREADY_SENT)) return;
    await sendNodeResponse(res, response);
  };
}
