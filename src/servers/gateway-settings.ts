/** The settings that FastCGI and SCGI share, and those of flup that have no meaning here. */
import type { Declarations } from '../config/settings/setting.ts';
import { int, seconds, text } from '../config/settings/setting-types.ts';
import { applicationSettings } from '../deploy/sections/application-settings.ts';
import { networks } from '../net/peers.ts';

export const gatewaySettings = {
  allow: {
    type: networks,
    help: 'The web servers that may connect by TCP. Left out: this machine only.',
    example: '10.0.0.5 10.1.0.0/16',
    aliases: ['allowedServers'],
  },
  max_connections: {
    type: int({ min: 1, max: 1_000_000 }),
    default: 4096,
    help: 'Connections at a time; more are turned away with 503.',
  },
  max_params_size: {
    type: int({ min: 1024, max: 16_777_216 }),
    default: 128 * 1024,
    help: 'Bytes of CGI variables that a request may have, all headers among them; the response to more is 431.',
  },
  headers_timeout: {
    type: seconds,
    default: 60,
    help: 'Seconds within which the variables of a request that has begun have to arrive; 0: any.',
  },
  send_timeout: {
    type: seconds,
    default: 300,
    help: 'Seconds for which a web server may read nothing of a response that waits for it; 0: no limit.',
  },
  script_name: {
    type: text,
    help: 'Where the application is mounted, if the web server sends something else: "/" for Lighttpd\'s mount "/" without fix-root-scriptname.',
    example: '/',
    aliases: ['scriptName'],
  },
  mount: {
    ...applicationSettings.declarations.mount,
    help: 'Which path the application gets below the prefix of the web server, with all its filters: the values of mount in a section of an application.',
  },
} satisfies Declarations;

export const obsoleteFlupSettings: Readonly<Record<string, string>> = {
  maxThreads: 'a process serves many requests at a time without threads',
  debug: 'errors are logged and never shown to the client; a filter shows them in development',
};

/** Far more than Node's limit on headers; limits what a request of empty variables can cost. */
export const MAX_VARIABLES = 4096;
