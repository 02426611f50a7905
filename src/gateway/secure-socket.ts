/**
 * The stand-in for a connection whose client speaks TLS with the web server: the same as any other, and a TLSSocket to
 * `instanceof`, since that is what applications ask to know `https:` from `http:`. It knows neither certificates nor
 * ciphers (a TLSSocket's own methods say so without a handle), and vouches for nobody: `authorized` is false. What a web
 * server has found out is in the environment (SSL_CLIENT_VERIFY and the like).
 */
import { TLSSocket } from 'node:tls';
import type { RequestHead } from './request-head.ts';
import { type Carrier, GatewaySocket } from './socket.ts';
import { SocketFace } from './socket-face.ts';

/** For `Reflect.construct`: a GatewaySocket's methods above those of TLSSocket in place of Socket's. */
function SecureSocket(): void {}
SecureSocket.prototype = Object.create(TLSSocket.prototype, {
  ...Object.getOwnPropertyDescriptors(SocketFace.prototype),
  ...Object.getOwnPropertyDescriptors(GatewaySocket.prototype),
  constructor: { value: TLSSocket, writable: true, configurable: true },
  encrypted: { value: true, writable: true, configurable: true },
  authorized: { value: false, writable: true, configurable: true },
  authorizationError: { value: null, writable: true, configurable: true },
  // As a TLSSocket's whose client has shown none; without a handle it would be null, and applications look into it.
  getPeerCertificate: { value: () => ({}), writable: true, configurable: true },
  alpnProtocol: { value: false, writable: true, configurable: true },
});

/** The stand-in that a head asks for. */
export function openSocket(carrier: Carrier, head: RequestHead): GatewaySocket {
  if (!head.encrypted) return new GatewaySocket(carrier, head);
  return Reflect.construct(GatewaySocket, [carrier, head], SecureSocket);
}
