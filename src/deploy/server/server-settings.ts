/**
 * The settings that every `[server:*]` has: where it listens and how many processes serve. Each server declares its own
 * settings itself.
 */

import { variables } from '../../config/env-file.ts';
import { wordsWithSpaces } from '../../config/settings/convert.ts';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import {
  bool,
  int,
  list,
  movedPath,
  octal,
  oneOf,
  pathList,
  patternList,
  type SettingType,
  seconds,
  text,
} from '../../config/settings/setting-types.ts';
import { PathPrefixes } from '../../http/path-prefixes.ts';
import { networks } from '../../net/peers.ts';
import { processes, workersSetting } from './workers-setting.ts';

const spares = int({ min: 0, max: 1024 });

const requests = int({ min: 0, max: 1_000_000_000 });

const port = int({ min: 0, max: 65535 });

const UNIX = 'unix:';

const addressList: SettingType<readonly string[]> = {
  ...list,
  allowed: 'addresses separated by spaces or line ends; the path after unix: is relative to the INI file',
  isMoved: true,
  mapPaths: (words, absolute) =>
    words.map((word) => (word.startsWith(UNIX) && word !== UNIX ? UNIX + absolute(word.slice(UNIX.length)) : word)),
};

const ignoreList: SettingType<readonly string[]> = {
  ...patternList,
  parse: wordsWithSpaces,
  mapPaths: (words, absolute) => words.map((word) => (/^\.{1,2}\//.test(word) ? absolute(word) : word)),
};

const moduleList: SettingType<readonly string[]> = {
  ...ignoreList,
  allowed: 'modules separated by commas, spaces or line ends: paths that begin with ./ or ../, or names of packages',
  parse: (value) => list.parse(value.replaceAll(',', ' ')),
};

const pathPrefixes: SettingType<readonly string[]> = {
  allowed: 'paths such as /healthz, separated by spaces or line ends',
  parse: (text) =>
    list.parse(text).map((prefix) => {
      if (!prefix.startsWith('/')) throw new Error(`"${prefix}" does not begin with a slash`);
      // Throws for a path that could be read in several ways.
      new PathPrefixes<true>().add(prefix, true);
      return prefix;
    }),
};

/** The settings of every server section that the process layer reads. */
export const processSettings = defineSettings({
  host: {
    type: text,
    help: 'The address to listen on; a host name means all its addresses.',
    example: '127.0.0.1',
  },
  port: { type: port, help: 'The TCP port to listen on; 0 takes a free one.', example: '8080' },
  socket: {
    type: movedPath,
    help: 'The path of a Unix socket to listen on, instead of host and port.',
    example: '%(here)s/../var/app.sock',
  },
  listen: {
    type: addressList,
    help: 'Several addresses, instead of host, port and socket.',
    example: '127.0.0.1:8080 [::1]:8080 unix:%(here)s/../var/app.sock',
  },
  umask: { type: octal, help: 'The bits that the Unix socket does not get, in octal.', example: '007' },
  mode: { type: octal, help: 'The permissions of the Unix socket, in octal (default 660).', example: '660' },
  socket_owner: { type: text, help: 'The user that owns the Unix socket.', example: 'www-data' },
  socket_group: { type: text, help: 'The group of the Unix socket.', example: 'www-data' },
  backlog: { type: int({ min: 1, max: 65_535 }), default: 1024, help: 'How many connections may wait to be accepted.' },
  workers: {
    type: workersSetting,
    help: 'How many processes serve: a number, auto for as many as the processors and the memory limit allow, or a range such as 1-8, within which the number follows the load. Left out: one process and no supervisor.',
    example: 'auto',
  },
  idle_timeout: {
    type: seconds,
    default: 60,
    help: 'With a range of workers: a worker ends when it has not been needed for this many seconds.',
    example: '10s',
  },
  maxChildren: { type: processes, help: 'The most workers with workers = auto or a range (the name is flup’s).' },
  minSpare: {
    type: spares,
    help: 'With a range of workers or auto: the least number of workers beyond those that the load needs (the name is flup’s).',
  },
  maxSpare: {
    type: spares,
    help: 'With a range of workers or auto: the greatest number of workers beyond those that the load needs, after idle_timeout (the name is flup’s).',
  },
  max_requests: {
    type: requests,
    default: 0,
    aliases: ['maxRequests'],
    help: 'Replace a worker after this number of requests; 0: never.',
  },
  max_requests_jitter: {
    type: requests,
    default: 0,
    help: 'Random extra requests, up to this number, so that workers are not replaced all at once.',
  },
  max_memory: {
    type: int({ min: 1, max: 1_048_576 }),
    help: 'A worker that holds more resident memory (MiB) is replaced. Left out: within a memory limit of a container, its share of that limit.',
  },
  max_requests_in_flight: {
    type: int({ min: 1, max: 1_000_000 }),
    help: 'How many requests one worker handles at a time; further ones get 503 with Retry-After at once, except health checks. Left out: any number.',
    example: '200',
  },
  overload_lag: {
    type: seconds,
    help: 'How many seconds the event loop of a worker may be late. While it is later, new requests get 503 with Retry-After at once, except health checks. Left out or 0: no limit.',
    example: '0.05',
  },
  overload_except: {
    type: pathPrefixes,
    default: [],
    help: 'Paths that are served under overload too, such as health checks of the application’s own. Those of the built-in health, metrics and status are found without it.',
    example: '/healthz',
  },
  queue_time: {
    type: networks,
    help: 'Proxies whose header X-Request-Start says when they got a request, for the metric of the time that requests have waited. Left out: those on this machine; for FastCGI and SCGI, every web server that may connect.',
    example: '10.0.0.5',
  },
  spare_workers: {
    type: int({ min: 0, max: 64 }),
    default: 0,
    help: 'The number of started workers that wait to replace one that crashes or reaches a limit; each takes memory.',
  },
  sticky: {
    type: bool,
    default: false,
    help: 'Whether all requests of a client reach the same worker: by a cookie, or by the session id of Socket.IO. Needs several workers to have an effect.',
  },
  worker_timeout: {
    type: seconds,
    help: 'Kill and replace a worker whose event loop is blocked for this many seconds.',
  },
  start_timeout: {
    type: seconds,
    default: 60,
    help: 'How many seconds a worker may take to load the application; 0: no limit.',
  },
  canary: {
    type: seconds,
    default: 0,
    help: 'After HUP, one worker of the new version serves beside the old ones for this many seconds, and is withdrawn if it fails more often than they do; 0: all are replaced as soon as they have started.',
    example: '10s',
  },
  canary_errors: {
    type: int({ min: 0, max: 100 }),
    default: 2,
    help: 'By how many percentage points the failed requests (status 500 or above) of the new version may exceed those of the old one, in addition to chance.',
  },
  graceful_timeout: { type: seconds, default: 30, help: 'How many seconds a worker may take to finish its requests.' },
  reload_files: {
    type: patternList,
    help: 'Globs and directories of further files that serve --reload watches, relative to the INI file.',
    example: '%(here)s/*.yaml',
  },
  reload_ignore: {
    type: ignoreList,
    default: ['.next', '.nuxt', '.output', '.svelte-kit', 'node_modules/.vite', 'var'],
    help: 'Files and directories whose changes cause no reload with serve --reload, by name or by path, instead of the default ones. A path begins with ./ or ../, relative to the INI file, or with /.',
    example: '.next dist ../data',
  },
  reload_exclusive: {
    type: bool,
    default: false,
    help: 'At a reload, end the old worker before the new one loads, for programs that hold a lock. Requests wait meanwhile.',
  },
  browser_reload: {
    type: bool,
    default: true,
    help: 'With serve --reload, pages reload themselves in the browser after a reload, unless debug = false. It may be in [DEFAULT] too.',
  },
  environment: {
    type: variables,
    help: 'Environment variables of the application’s processes, one per line. They override those of env_file and those that paster was started with.',
    example: 'NODE_OPTIONS=--max-old-space-size=4096',
  },
  env_file: {
    type: pathList,
    help: 'Files of environment variables for the application’s processes; the last one wins. They override the variables that paster was started with.',
    example: '%(here)s/.env',
  },
  preload: {
    type: moduleList,
    default: [],
    help: 'Modules that each process of the application imports before all other code, such as tracing.',
    example: './instrumentation.js @opentelemetry/auto-instrumentations-node/register',
  },
  reload_preload: {
    type: oneOf('auto', 'off'),
    default: 'auto',
    help: 'Whether spare workers (spare_workers, serve --reload) import packages before they are needed.',
  },
  reload_preload_except: {
    type: list,
    default: [],
    help: 'Names of packages that spare workers do not import before they are needed.',
    example: 'my-config @acme/tracing',
  },
});

export type ProcessSettings = SettingsOf<typeof processSettings>;

/** The settings that each of several servers has for itself. All others apply to the processes, which the servers share. */
export const OF_EACH_SERVER: ReadonlySet<keyof ProcessSettings> = new Set([
  'host',
  'port',
  'socket',
  'listen',
  'umask',
  'mode',
  'socket_owner',
  'socket_group',
  'backlog',
  'queue_time',
  'reload_files',
] as const);
