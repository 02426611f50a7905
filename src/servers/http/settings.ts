/** The settings of the HTTP server. Those of Paste's `#http` that have no meaning in Node are obsolete. */
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import {
  bool,
  int,
  movedPathLines,
  oneOf,
  path,
  type SettingType,
  seconds,
} from '../../config/settings/setting-types.ts';
import { ConfigError } from '../../errors.ts';
import { type Network, networks } from '../../net/peers.ts';

const DEFAULT_HEADERS_TIMEOUT = 60;

/** Empty, it would mean the load balancers of this machine, as `allow` does: here the reader has to say so. */
const senders: SettingType<readonly Network[]> = {
  ...networks,
  parse(text) {
    const all = networks.parse(text);
    if (all.length === 0) throw new Error('it is empty');
    return all;
  },
};

const threads = 'Node serves requests without a pool of threads';

export const httpSettings = defineSettings(
  {
    ssl_pem: {
      type: movedPathLines,
      help: 'A PEM file with a certificate and its key: serves HTTPS. Of several, one per line, the host name that the client asks for chooses one; the first is the default. Changed files are read without a reload.',
      example: '%(here)s/server.pem',
    },
    ssl_cert: {
      type: movedPathLines,
      help: 'A PEM file with a certificate and the chain behind it, instead of ssl_pem; several as there.',
      example: '/etc/letsencrypt/live/example.org/fullchain.pem',
    },
    ssl_key: {
      type: movedPathLines,
      help: 'The PEM file with the key of the certificate on the same line of ssl_cert.',
      example: '/etc/letsencrypt/live/example.org/privkey.pem',
    },
    ssl_client_ca: {
      type: path,
      help: 'A PEM file with the certificates of the authorities that sign those of the clients: a client needs a certificate to connect.',
      example: '%(here)s/clients-ca.pem',
    },
    ssl_client_verify: {
      type: oneOf('required', 'optional'),
      help: 'Whether clients need a certificate of these authorities. With optional, the application asks req.socket.authorized. Default: required.',
    },
    http2: {
      type: bool,
      default: false,
      help: 'Serve HTTP/2: with TLS in addition to HTTP/1.1, without TLS instead of it.',
    },
    proxy_protocol: {
      type: senders,
      help: 'The load balancers that begin each connection with a PROXY header (version 1 or 2), which says who the client is; it is required of them and refused from others. A peer on a Unix socket counts as 127.0.0.1. Left out: no such header.',
      example: '10.0.0.5 10.1.0.0/16',
    },
    request_timeout: {
      type: seconds,
      default: 300,
      help: 'Seconds within which a whole request has to arrive; 0: any.',
    },
    headers_timeout: {
      type: seconds,
      help: 'Seconds within which the head of a request has to arrive, and with TLS the handshake before it; 0: any. Default: 60, or request_timeout if that is less.',
    },
    keep_alive_timeout: { type: seconds, default: 5, help: 'Seconds that an idle connection is kept; 0: any.' },
    max_header_size: {
      type: int({ min: 1024, max: 1_048_576 }),
      default: 16384,
      help: 'The most bytes that the head of a request may have; the response to more is 431, or over HTTP/2 a refusal.',
    },
    max_connections: {
      type: int({ min: 1, max: 1_000_000 }),
      help: 'Connections at a time of each process; more are turned away with 503, with TLS or HTTP/2 closed. Left out: any.',
      example: '4096',
    },
    send_timeout: {
      type: seconds,
      default: 300,
      help: 'Seconds for which a client may read nothing of a response that waits for it; 0: no limit.',
    },
  },
  {
    meaning: 'HTTP/1.1, HTTPS and HTTP/2',
    obsolete: {
      server_version: 'responses name no server',
      protocol_version: 'the server speaks HTTP/1.1',
      daemon_threads: threads,
      socket_timeout: 'see request_timeout, send_timeout and keep_alive_timeout',
      use_threadpool: threads,
      threadpool_workers: `${threads}; see workers`,
      threadpool_max_requests: `${threads}; see max_requests`,
      threadpool_hung_thread_limit: `${threads}; see worker_timeout`,
      threadpool_kill_thread_limit: `${threads}; see worker_timeout`,
      threadpool_dying_limit: threads,
      threadpool_spawn_if_under: threads,
      threadpool_max_zombie_threads_before_die: threads,
      threadpool_hung_check_period: threads,
      request_queue_size: 'see backlog',
      start_loop: 'the server always starts',
    },
  },
);

export type HttpSettings = SettingsOf<typeof httpSettings>;

/** Seconds; the time of a head is part of the time of its request. */
export function headersTimeout({ headers_timeout: headers, request_timeout: request }: HttpSettings): number {
  const own = headers ?? DEFAULT_HEADERS_TIMEOUT;
  return own === 0 || request === 0 ? own || request : Math.min(own, request);
}

/** @throws ConfigError where two settings contradict each other. */
export function checkTimeouts({ headers_timeout: headers = 0, request_timeout: request }: HttpSettings): void {
  if (request === 0 || headers <= request) return;
  throw new ConfigError('PASTER_SETTING', `headers_timeout: ${headers} is more than request_timeout (${request})`, {
    setting: 'headers_timeout',
    hint: 'the head is a part of the request: lower headers_timeout or raise request_timeout',
  });
}
