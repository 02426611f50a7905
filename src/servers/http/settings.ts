/** The settings of the HTTP server. Paste's `#http` had others, which say nothing about Node. */
import { bool, defineSettings, int, movedPath, type SettingsOf, seconds } from '../../config/setting.ts';
import { ConfigError } from '../../errors.ts';

const DEFAULT_HEADERS_TIMEOUT = 60;

const threads = 'Node serves requests without a pool of threads';

export const httpSettings = defineSettings(
  {
    ssl_pem: {
      type: movedPath,
      help: 'A PEM file with certificate and key: serve https.',
      example: '%(here)s/server.pem',
    },
    ssl_cert: { type: movedPath, help: 'A PEM file with the certificate chain; with ssl_key.' },
    ssl_key: { type: movedPath, help: 'A PEM file with the private key; with ssl_cert.' },
    http2: { type: bool, default: false, help: 'Speak HTTP/2: with TLS beside HTTP/1.1, without TLS alone.' },
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
      help: 'The most bytes that the head of a request may have; more is answered with 431, or over HTTP/2 refused.',
    },
    max_connections: {
      type: int({ min: 1, max: 1_000_000 }),
      help: 'Connections at a time of each process; more are turned away with 503, with TLS or HTTP/2 closed. Left out: any.',
      example: '4096',
    },
    send_timeout: {
      type: seconds,
      default: 300,
      help: 'Seconds that a client may take nothing of an answer that waits for it; 0: any.',
    },
  },
  {
    meaning: 'HTTP/1.1, HTTPS and HTTP/2',
    obsolete: {
      server_version: 'the answer names no server',
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
