/** One request and its answer put together, for every protocol alike. */

import { GatewayRequest } from './request.ts';
import type { RequestHead } from './request-head.ts';
import { GatewayResponse } from './response.ts';
import { openSocket } from './secure-socket.ts';
import type { Carrier, GatewaySocket } from './socket.ts';

/** A request and a response on a stand-in for their connection. */
export interface Exchange {
  readonly socket: GatewaySocket;
  readonly request: GatewayRequest;
  readonly response: GatewayResponse;
}

export function openExchange(head: RequestHead, carrier: Carrier): Exchange {
  const socket = openSocket(carrier, head);
  const request = new GatewayRequest(head, socket);
  const response = new GatewayResponse(request, socket);
  socket.request = request;
  return { socket, request, response };
}
