/**
 * A request and its response for a protocol that is not node:http's, and how they are passed to the application.
 *
 * That is done as node:http does: by the 'request' event of an `http.Server`, and on Node's diagnostics channels. Tools that
 * trace and measure (OpenTelemetry, Sentry and others) replace `http.Server.prototype.emit` or subscribe to the channels.
 */
import { channel } from 'node:diagnostics_channel';
import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { GatewayRequest } from './request.ts';
import type { RequestHead } from './request-head.ts';
import { GatewayResponse } from './response.ts';
import { type Carrier, GatewaySocket } from './socket.ts';
import { SocketFacade } from './socket-facade.ts';

/** A request and a response on a stand-in for their connection. */
export interface GatewayExchange {
  readonly socket: GatewaySocket;
  readonly request: GatewayRequest;
  readonly response: GatewayResponse;
}

export function openExchange(head: RequestHead, carrier: Carrier): GatewayExchange {
  const socket = openSocket(carrier, head);
  const request = new GatewayRequest(head, socket);
  const response = new GatewayResponse(request, socket);
  socket.request = request;
  return { socket, request, response };
}

function openSocket(carrier: Carrier, head: RequestHead): GatewaySocket {
  if (!head.encrypted) return new GatewaySocket(carrier, head);
  return Reflect.construct(GatewaySocket, [carrier, head], SecureSocket);
}

/**
 * The stand-in for a connection whose client speaks TLS with the web server: the same as any other, but a TLSSocket to
 * `instanceof`, by which applications tell `https:` from `http:`. Behind a web server it knows no certificates and no ciphers,
 * since a TLSSocket's own methods return nothing without a handle, and `authorized` is false: what a web server knows of
 * them is in the environment (SSL_CLIENT_VERIFY and the like). Over HTTP/2 they are those of the connection.
 *
 * For `Reflect.construct`: a GatewaySocket's methods above those of TLSSocket instead of those of Socket.
 */
function SecureSocket(): void {}
SecureSocket.prototype = Object.create(TLSSocket.prototype, {
  ...Object.getOwnPropertyDescriptors(SocketFacade.prototype),
  ...Object.getOwnPropertyDescriptors(GatewaySocket.prototype),
  constructor: { value: TLSSocket, writable: true, configurable: true },
  encrypted: { value: true, writable: true, configurable: true },
  authorized: ofConnection('authorized', false),
  authorizationError: ofConnection('authorizationError', null),
  servername: ofConnection('servername', undefined),
  // As of a TLSSocket whose client has no certificate; without a handle it would be null, and applications read its members.
  getPeerCertificate: methodOfConnection('getPeerCertificate', () => ({})),
  getPeerX509Certificate: methodOfConnection('getPeerX509Certificate', () => undefined),
  getCipher: methodOfConnection('getCipher', () => undefined),
  getProtocol: methodOfConnection('getProtocol', () => null),
  alpnProtocol: { value: false, writable: true, configurable: true },
});

/** A property of the TLS connection, or a value if there is none; an application may replace it. */
function ofConnection(name: keyof TLSSocket, otherwise: unknown): PropertyDescriptor {
  return {
    get(this: GatewaySocket): unknown {
      const { tlsConnection } = this;
      return tlsConnection ? tlsConnection[name] : otherwise;
    },
    set(this: GatewaySocket, value: unknown) {
      Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true });
    },
    configurable: true,
  };
}

function methodOfConnection(name: keyof TLSSocket, otherwise: () => unknown): PropertyDescriptor {
  return {
    value(this: GatewaySocket, ...args: unknown[]): unknown {
      const { tlsConnection } = this;
      if (!tlsConnection) return otherwise();
      return Reflect.apply(tlsConnection[name] as (...of: unknown[]) => unknown, tlsConnection, args);
    },
    writable: true,
    configurable: true,
  };
}

const requestStart = channel('http.server.request.start');
const responseFinish = channel('http.server.response.finish');

/** @returns a function that passes an exchange to `handler`. */
export function requestDispatcher(
  handler: (req: IncomingMessage, res: ServerResponse) => void,
): (exchange: GatewayExchange) => void {
  // It never listens: it is what the tools find where node:http has its server.
  const server = new Server(handler);
  return ({ request, response, socket }) => {
    if (requestStart.hasSubscribers || responseFinish.hasSubscribers) {
      const message = { request, response, socket, server };
      response.on('finish', () => responseFinish.publish(message));
      requestStart.publish(message);
    }
    server.emit('request', request, response);
  };
}
