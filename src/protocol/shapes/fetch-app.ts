/**
 * Web-standard handlers, `fetch(request) -> Response` (Hono, h3, Elysia, srvx), as an App: srvx translates requests and responses.
 * WebSockets are accepted where the application describes them for crossws, as h3 and Nitro do, and refused otherwise.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { sendPlainText } from '../../http/error-response.ts';
import { declineUpgrade } from '../default-handlers.ts';
import type { App } from '../types.ts';
import { acceptWebSocket, type WebSocketHooks } from './crossws.ts';
import { describeValue, type FetchHandler, has, isObjectOrFunction } from './describe.ts';

/** Hono sets this header when it has written the response to `outgoing` itself. */
const ALREADY_SENT = 'x-hono-already-sent';

/** Upgrades that refuse what the application does not describe for crossws. A filter with such an upgrade gets that of the inner application. */
const REFUSING = new WeakSet<NonNullable<App['upgrade']>>();

/** Whether an application has an upgrade only to refuse, as those with `fetch` have. */
export function refusesUpgrades({ upgrade }: App): boolean {
  return upgrade !== undefined && REFUSING.has(upgrade);
}

/** @param owner whose `fetch` it is, for errors: `[app:main] ./app.js` */
export async function fetchApp(handler: FetchHandler, owner: string): Promise<App> {
  const { NodeRequest, patchGlobalRequest, sendNodeResponse } = await import('srvx/node');
  // Node's Request constructor accepts only its own requests, and Hono's bodyLimit calls `new Request(request, ...)` with srvx's.
  patchGlobalRequest();
  const ask = async (req: IncomingMessage, res: ServerResponse): Promise<Response> => {
    const response = await handler.fetch(new NodeRequest({ req, res }), { incoming: req, outgoing: res });
    if (!isResponse(response)) throw notAResponse(response, owner);
    return response;
  };
  const app: App = async (req, res) => {
    const response = await ask(req, res);
    if (response.headers.has(ALREADY_SENT)) return;
    await sendNodeResponse(res, response);
  };
  app.upgrade = (req, socket, head) => {
    if (req.headers.upgrade?.toLowerCase() !== 'websocket') return declineUpgrade(app, req, socket);
    return declineUpgrade(
      async (_req, res) => {
        const response = await ask(req, res);
        const hooks = (response as { readonly crossws?: WebSocketHooks }).crossws;
        if (hooks) {
          res.detachSocket(socket as Socket);
          if (await acceptWebSocket({ hooks }, req, socket, head)) return;
          res.assignSocket(socket as Socket);
        }
        // A success would tell a client nothing: it waits for 101.
        if (response.ok || hooks) refuseWebSocket(res, hooks !== undefined);
        else await sendNodeResponse(res, response);
      },
      req,
      socket,
    );
  };
  REFUSING.add(app.upgrade);
  return app;
}

/** The responses of undici and of srvx have classes of their own. */
function isResponse(value: unknown): value is Response {
  return isObjectOrFunction(value) && 'headers' in value && has(value.headers ?? {}, 'has');
}

function notAResponse(value: unknown, owner: string): TypeError {
  const error = new TypeError(`fetch() of ${owner} returned ${describeValue(value)}, not a Response`);
  // The function has returned, so all frames of the stack are paster's.
  error.stack = String(error);
  return error;
}

/** Marks the outer application too, if the inner one only refuses upgrades. */
export function keepRefusing(outer: App, inner: App): void {
  if (outer.upgrade && refusesUpgrades(inner)) REFUSING.add(outer.upgrade);
}

export function refuseWebSocket(res: ServerResponse, needsCrossws: boolean): void {
  sendPlainText(
    res,
    501,
    {},
    needsCrossws
      ? 'WebSockets of this application need the package crossws, which is not installed'
      : 'This application has no WebSocket here',
  );
}
