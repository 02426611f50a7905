/**
 * Validates a `[server:*]` section: the settings that every server has together with those of this server, so that a mistyped
 * name is compared with all names. Says which addresses the section means.
 */
import { acceptedNames, type Declarations, defineSettings } from '../../config/settings/setting.ts';
import { ConfigError } from '../../errors.ts';
import { plainPath } from '../../files/existing-path.ts';
import { type Address, parseAddress, type UnixAddress } from '../../net/address.ts';
import type { Settings } from '../../protocol/types.ts';
import { fromWorkingDirectory } from '../../working-directory.ts';
import { type FactoryContext, placeOfKey, sectionPlace, sectionPrefix, settingsOf } from '../context.ts';
import { declaredSchema, schemaOf } from '../schema.ts';
import { warnOfKeysWithoutEffect } from '../sections/section-config.ts';
import type { LoadSession } from '../session.ts';
import { validateSettings, validateWith, warnOfObsolete } from '../validate.ts';
import { type ProcessSettings, processSettings } from './server-settings.ts';
import { isRange, upperBound, workersSettingText } from './workers-setting.ts';

/** Settings from the command line, which override the section. */
export interface AddressOverrides {
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly socket?: string | undefined;
  readonly workers?: string | undefined;
  readonly graceful_timeout?: string | undefined;
  /** A certificate for a server that has none of its own, which then speaks HTTPS and HTTP/2. */
  readonly ssl_pem?: string | undefined;
}

export interface ServerSettings {
  readonly process: ProcessSettings;
  /** The settings that the server's factory is called with. */
  readonly own: unknown;
}

/**
 * Validates a server section and separates the settings of the process layer from those of the server. A factory without
 * a schema gets the whole section, as in Paste.
 */
export async function validateServer(
  factory: unknown,
  context: FactoryContext,
  overrides: AddressOverrides,
  session: LoadSession,
): Promise<ServerSettings> {
  const section = applyOverrides(settingsOf(context.implied, context.localConf), overrides);
  const declared = declaredSchema(factory);
  if (overrides.ssl_pem !== undefined && declared?.declarations['ssl_pem'] === undefined) {
    throw new ConfigError('PASTER_HTTPS', `--https: [${sectionName(context)}] does not speak HTTP`, {
      location: context.sections[0]?.location,
      hint: 'leave out --https, or choose npm:paster#http',
    });
  }
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
  if (context.protocol === 'object') {
    warnOfKeysWithoutEffect(sectionName(context), context, context, (key) => names.has(key), session);
  }
  if (!schema) return { process, own: await validateSettings(factory, { ...context, localConf: section }) };
  const rest = settingsOf(section);
  for (const key of processKeys) delete rest[key];
  return { process, own: await validateWith(schema, rest, context) };
}

/** The addresses of a section, or else the server's default address. */
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
      `[${sectionName(context)}] ${first} and ${second} are mutually exclusive`,
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
      if (address) return address.kind === 'unix' ? unixAddress(address.path) : address;
      throw new ConfigError('PASTER_ADDRESS', `[${sectionName(context)}] listen: "${each}" is not an address`, {
        location: placeOfKey(context, 'listen'),
        hint: 'allowed: host:port, [ipv6]:port, unix:/path',
      });
    });
  }
  if (socket !== undefined) return [unixAddress(socket)];
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

/** A Unix socket, by the path that is also shown and exported: most files have %(here)s/../var/..., which is hard to read. */
function unixAddress(path: string): UnixAddress {
  return { kind: 'unix', path: plainPath(path) };
}

type LimitKey = 'minSpare' | 'maxSpare' | 'maxChildren';

/**
 * Settings of the number of workers that contradict each other: with a range, or flup's `minSpare`, `maxSpare` and `maxChildren`.
 * @throws ConfigError with the place of the first one
 */
export function checkWorkerLimits(settings: ProcessSettings, context: FactoryContext): void {
  const { workers, minSpare = 0, maxSpare = minSpare, maxChildren } = settings;
  const failure = (key: LimitKey, message: string, hint: string): ConfigError =>
    new ConfigError('PASTER_WORKER_LIMITS', `${sectionPrefix(context)}${message}`, {
      location: placeOfKey(context, key) ?? sectionPlace(context),
      hint,
    });
  if (minSpare > maxSpare) {
    const message = `minSpare = ${minSpare} is more than maxSpare = ${maxSpare}`;
    throw failure('minSpare', message, 'raise maxSpare, or lower minSpare');
  }
  if (maxChildren !== undefined && minSpare > maxChildren) {
    const message = `minSpare = ${minSpare} is more than maxChildren = ${maxChildren}`;
    throw failure('minSpare', message, 'raise maxChildren, or lower minSpare');
  }
  if (!isRange(workers)) return;
  const range = workersSettingText(workers);
  if (maxChildren !== undefined && workers.min > maxChildren) {
    const message = `maxChildren = ${maxChildren} is less than the lower bound of workers = ${range}`;
    throw failure('maxChildren', message, `raise maxChildren to ${workers.min} or more, or lower the bound`);
  }
  const most = upperBound(workers);
  if (most !== undefined && minSpare > most) {
    const message = `minSpare = ${minSpare} is more than the upper bound of workers = ${range}`;
    throw failure('minSpare', message, 'raise the bound, or lower minSpare');
  }
  const spare: LimitKey | undefined = minSpare > 0 ? 'minSpare' : maxSpare > 0 ? 'maxSpare' : undefined;
  if (workers.min === 0 && spare !== undefined) {
    const message = `${spare} = ${settings[spare]} contradicts workers = ${range}, which ends all workers while the server is idle`;
    throw failure(spare, message, `leave out ${spare}, or write workers = 1-${workers.max}`);
  }
}

function applyOverrides(section: Settings, overrides: AddressOverrides): Settings {
  const { host, port, socket, workers, graceful_timeout: gracefulTimeout } = overrides;
  if (socket !== undefined) for (const key of ['host', 'port', 'listen']) delete section[key];
  if (host !== undefined || port !== undefined) for (const key of ['socket', 'listen']) delete section[key];
  if (host !== undefined) section['host'] = host;
  if (port !== undefined) section['port'] = port;
  if (socket !== undefined) section['socket'] = fromWorkingDirectory(socket);
  if (workers !== undefined) section['workers'] = workers;
  if (gracefulTimeout !== undefined) section['graceful_timeout'] = gracefulTimeout;
  if (overrides.ssl_pem !== undefined && ['ssl_pem', 'ssl_cert', 'ssl_key'].every((key) => !(key in section))) {
    section['ssl_pem'] = overrides.ssl_pem;
    section['http2'] ??= 'true';
  }
  return section;
}

function pick(values: Readonly<Record<string, unknown>>, declarations: Declarations): Record<string, unknown> {
  return Object.fromEntries(Object.keys(declarations).map((name) => [name, values[name]]));
}

function sectionName(context: FactoryContext): string {
  return context.sections[0]?.name ?? 'server';
}
