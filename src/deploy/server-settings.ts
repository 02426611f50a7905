/**
 * The settings of every `[server:*]`, whatever it speaks: where it listens and how many processes carry it. A server's
 * own settings stand with the server; both are checked together, so that a mistyped name is compared with all.
 */
import {
  acceptedNames,
  type Declarations,
  defineSettings,
  int,
  list,
  movedPath,
  octal,
  type SettingsOf,
  type SettingType,
  seconds,
  text,
} from '../config/setting.ts';
import { ConfigError } from '../errors.ts';
import { type Address, parseAddress } from '../net/address.ts';
import type { Settings } from '../protocol/types.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import { type FactoryContext, settingsOf } from './context.ts';
import { warnOfObsolete } from './obsolete.ts';
import { withoutEffect } from './section-config.ts';
import type { LoadSession } from './session.ts';
import { declaredSchema, placeOfKey, schemaOf, validateSettings, validateWith } from './validate.ts';

const processes = int({ min: 1, max: 1024 });

const workersType: SettingType<number | 'auto'> = {
  ...processes,
  allowed: `auto, or ${processes.allowed}`,
  parse: (value) => (value.trim() === 'auto' ? 'auto' : processes.parse(value)),
};

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

/** What the process layer reads from every server section. */
export const processSettings = defineSettings({
  host: {
    type: text,
    help: 'The address to listen on; a host name stands for all its addresses.',
    example: '127.0.0.1',
  },
  port: { type: port, help: 'The TCP port to listen on; 0 takes a free one.', example: '8080' },
  socket: {
    type: movedPath,
    help: 'The path of a Unix socket to listen on, in place of host and port.',
    example: '%(here)s/../var/app.sock',
  },
  listen: {
    type: addressList,
    help: 'Several addresses, in place of host, port and socket.',
    example: '127.0.0.1:8080 [::1]:8080 unix:%(here)s/../var/app.sock',
  },
  umask: { type: octal, help: 'The bits that the Unix socket does not get, in octal.', example: '007' },
  mode: { type: octal, help: 'The permissions of the Unix socket, in octal (default 660).', example: '660' },
  socket_owner: { type: text, help: 'The user that owns the Unix socket.', example: 'www-data' },
  socket_group: { type: text, help: 'The group of the Unix socket.', example: 'www-data' },
  backlog: { type: int({ min: 1, max: 65_535 }), default: 1024, help: 'How many connections may wait to be accepted.' },
  workers: {
    type: workersType,
    help: 'How many processes serve: a number, or auto for one per core. Left out: one process and no supervisor.',
    example: 'auto',
  },
  maxChildren: { type: processes, help: 'The most workers that workers = auto starts (the name is flup’s).' },
  max_requests: {
    type: requests,
    default: 0,
    aliases: ['maxRequests'],
    help: 'A worker is replaced after so many requests; 0: never.',
  },
  max_requests_jitter: {
    type: requests,
    default: 0,
    help: 'Up to so many more, at random, so that workers are not replaced all at once.',
  },
  max_memory: {
    type: int({ min: 1, max: 1_048_576 }),
    help: 'A worker that holds more resident memory (MiB) is replaced.',
  },
  worker_timeout: {
    type: seconds,
    help: 'A worker whose event loop stands still for so many seconds is killed and replaced.',
  },
  start_timeout: {
    type: seconds,
    default: 60,
    help: 'How many seconds a worker may take to load the application; 0: no limit.',
  },
  graceful_timeout: { type: seconds, default: 30, help: 'How many seconds a worker may take to finish its requests.' },
  reload_files: {
    type: list,
    help: 'Globs of further files that serve --reload watches, relative to the INI file.',
    example: '%(here)s/*.yaml',
  },
});

export type ProcessSettings = SettingsOf<typeof processSettings>;

/** What the command line says in place of the section. */
export interface AddressOverrides {
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly socket?: string | undefined;
  readonly workers?: string | undefined;
  readonly graceful_timeout?: string | undefined;
}

export interface ServerSettings {
  readonly process: ProcessSettings;
  /** What the server's factory is called with. */
  readonly own: unknown;
}

/**
 * Checks a server section and parts what the process layer reads from what the server itself does. A factory that
 * declares nothing gets the whole section, as Paste's would.
 */
export async function validateServer(
  factory: unknown,
  context: FactoryContext,
  overrides: AddressOverrides,
  session: LoadSession,
): Promise<ServerSettings> {
  const section = override(settingsOf(context.implied, context.localConf), overrides);
  const declared = declaredSchema(factory);
  if (declared) {
    const both = defineSettings(
      { ...processSettings.declarations, ...declared.declarations },
      { obsolete: declared.obsolete },
    );
    warnOfObsolete(context, declared, session);
    const values = (await validateWith(both, section, context)) as ProcessSettings & Record<string, unknown>;
    return { process: values, own: pick(values, declared.declarations) };
  }
  const schema = schemaOf(factory);
  const names = acceptedNames(processSettings.declarations);
  const processKeys = Object.keys(section).filter((key) => names.has(key));
  const common = settingsOf(Object.fromEntries(processKeys.map((key) => [key, section[key] ?? ''])));
  const process = (await validateWith(processSettings, common, context)) as ProcessSettings;
  if (context.protocol === 'object') warnOfUncalled(context, session);
  if (!schema) return { process, own: await validateSettings(factory, { ...context, localConf: section }) };
  const rest = settingsOf(section);
  for (const key of processKeys) delete rest[key];
  return { process, own: await validateWith(schema, rest, context) };
}

/** The addresses that a section names; none if it leaves that to the server. */
export function addressesOf(
  settings: ProcessSettings,
  context: FactoryContext,
  fallback: Address | undefined,
): readonly Address[] {
  const { host, port: portNumber, socket, listen } = settings;
  const given = [
    ['listen', listen],
    ['socket', socket],
    ['host', host],
    ['port', portNumber],
  ].flatMap(([name, value]) => (value === undefined ? [] : [String(name)]));
  const [first = '', second] = given;
  if (second !== undefined && first !== 'host') {
    throw new ConfigError(
      'PASTER_ADDRESS_CONFLICT',
      `[${sectionName(context)}] ${first} and ${second} exclude each other`,
      {
        location: placeOfKey(context, second) ?? context.sections[0]?.location,
        hint: 'keep one of them',
      },
    );
  }
  if (listen?.length === 0) {
    throw new ConfigError('PASTER_ADDRESS', `[${sectionName(context)}] listen: it names no address`, {
      location: placeOfKey(context, 'listen'),
      hint: 'allowed: host:port, [ipv6]:port, unix:/path',
    });
  }
  if (listen) {
    return listen.map((each) => {
      const address = parseAddress(each);
      if (address) return address;
      throw new ConfigError('PASTER_ADDRESS', `[${sectionName(context)}] listen: "${each}" is not an address`, {
        location: placeOfKey(context, 'listen'),
        hint: 'allowed: host:port, [ipv6]:port, unix:/path',
      });
    });
  }
  if (socket !== undefined) return [{ kind: 'unix', path: socket }];
  const standard = fallback?.kind === 'tcp' ? fallback : undefined;
  if (host === undefined && portNumber === undefined) return fallback ? [fallback] : [];
  const port = portNumber ?? standard?.port;
  if (port === undefined) {
    throw new ConfigError('PASTER_ADDRESS', `[${sectionName(context)}] host without port`, {
      location: placeOfKey(context, 'host') ?? context.sections[0]?.location,
      hint: 'add port = ...',
    });
  }
  // As Paste's: an empty host is every address of this machine.
  return [{ kind: 'tcp', host: host === '' ? '0.0.0.0' : (host ?? standard?.host ?? '127.0.0.1'), port }];
}

function override(section: Settings, overrides: AddressOverrides): Settings {
  const { host, port, socket, workers, graceful_timeout: gracefulTimeout } = overrides;
  if (socket !== undefined) for (const key of ['host', 'port', 'listen']) delete section[key];
  if (host !== undefined || port !== undefined) for (const key of ['socket', 'listen']) delete section[key];
  if (host !== undefined) section['host'] = host;
  if (port !== undefined) section['port'] = port;
  if (socket !== undefined) section['socket'] = fromWorkingDirectory(socket);
  if (workers !== undefined) section['workers'] = workers;
  if (gracefulTimeout !== undefined) section['graceful_timeout'] = gracefulTimeout;
  return section;
}

/** A ready server is given no settings; what is for the process layer counts all the same. */
function warnOfUncalled(context: FactoryContext, session: LoadSession): void {
  const names = acceptedNames(processSettings.declarations);
  for (const key of Object.keys(context.localConf)) {
    const place = placeOfKey(context, key);
    if (place && !names.has(key)) session.warn(withoutEffect(sectionName(context), key, context), place);
  }
}

function pick(values: Readonly<Record<string, unknown>>, declarations: Declarations): Record<string, unknown> {
  return Object.fromEntries(Object.keys(declarations).map((name) => [name, values[name]]));
}

function sectionName(context: FactoryContext): string {
  return context.sections[0]?.name ?? 'server';
}
