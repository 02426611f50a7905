/** The texts of the units that `paster export systemd` writes. */
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import type { TaskSettings } from '../../deploy/background/task-settings.ts';
import { errorMessage } from '../../errors.ts';
import type { Address } from '../../net/address.ts';
import { NOTIFY_DESCRIPTOR } from '../../net/inherited-sockets.ts';
import { type BackgroundPart, partError, restartedBy } from '../background.ts';
import type { Deployment } from '../deployment.ts';
import { exportError, hostPort } from '../site.ts';
import { lines, unitLine, unitWord } from '../text.ts';
import { calendarEvents } from './calendar.ts';
import { type CommandPart, gracefulTimeout, localCommand } from './serve-command.ts';
import { unitVariablesFile } from './variable-notes.ts';

const ACCOUNT = /^[a-z_][a-z0-9_-]{0,31}\$?$/;

/** A part may have an account of its own, with that user's group. */
export function accountLines(part: BackgroundPart, user: string): string[] {
  const { user: own, group } = part.settings;
  for (const [setting, account] of [['user', own] as const, ['group', group] as const]) {
    if (account !== undefined && !isAccount(account)) {
      throw partError(part, setting, `${JSON.stringify(account)} is not an account's name`, 'allowed: www-data');
    }
  }
  return [`User=${own ?? user}`, ...(group === undefined ? [] : [`Group=${group}`])];
}

/** The name of a part's section, for `Description=`, where only `%` has a special meaning. Files of units are named by its `id`. */
export function describedName({ name }: BackgroundPart): string {
  return name.replaceAll('%', '%%');
}

export interface ServiceOptions {
  readonly part: CommandPart;
  readonly description: string;
  /** `User=` and `Group=`. */
  readonly account: readonly string[];
  readonly hasSocket: boolean;
  /** Seconds; 0: no limit. */
  readonly startTimeout: number;
  /** What starts and stops it; undefined: it is installed on its own. */
  readonly target: string | undefined;
}

export function serviceUnit(deployment: Deployment, options: ServiceOptions): string {
  const { part, description, account, hasSocket, startTimeout, target } = options;
  return lines(
    '[Unit]',
    `Description=${description}`,
    'After=network.target',
    // The socket unit of the same name, even if the user renames both files.
    hasSocket ? 'Requires=%p.socket' : undefined,
    target === undefined ? undefined : `PartOf=${target}`,
    '',
    '[Service]',
    'Type=notify',
    // paster writes its notifications to this socket. Without it, paster runs systemd-notify for each of them.
    systemdVersion() >= OPEN_FILE_VERSION ? `OpenFile=/run/systemd/notify:${NOTIFY_DESCRIPTOR}:graceful` : undefined,
    'NotifyAccess=all',
    ...commandLines(deployment, part, account),
    'ExecReload=/bin/kill -HUP $MAINPID',
    'KillMode=mixed',
    `TimeoutStartSec=${startTimeout === 0 ? 'infinity' : Math.ceil(startTimeout) + MARGIN}`,
    `TimeoutStopSec=${gracefulTimeout(deployment, part) + MARGIN}`,
    'WatchdogSec=30',
    'Restart=on-failure',
    ...hardeningLines(deployment),
    ...(target === undefined ? ['', '[Install]', 'WantedBy=multi-user.target'] : []),
  );
}

/** A service that ends by itself. Until it has ended, it counts as starting for systemd, so the limit is TimeoutStartSec. */
export function taskUnit(deployment: Deployment, part: BackgroundPart<TaskSettings>, user: string): string {
  const { timeout } = part.settings;
  const graceful = gracefulTimeout(deployment, part);
  return lines(
    '[Unit]',
    `Description=Task ${describedName(part)} of ${deployment.name}, run by paster`,
    'After=network.target',
    '',
    '[Service]',
    'Type=oneshot',
    ...commandLines(deployment, part, accountLines(part, user)),
    'KillMode=mixed',
    // paster itself stops it after its timeout.
    `TimeoutStartSec=${timeout === 0 ? 'infinity' : Math.ceil(timeout) + graceful + MARGIN}`,
    `TimeoutStopSec=${graceful + MARGIN}`,
    ...hardeningLines(deployment),
  );
}

/** A task that restarts other parts has systemd restart their units. Undefined: it does something else. */
export function restartUnit(deployment: Deployment, part: BackgroundPart<TaskSettings>): string | undefined {
  const { name, hasServer, background } = deployment;
  const restarted = restartedBy(part, background);
  if (restarted === undefined || restarted.kind === 'other') return undefined;
  const all = [...(hasServer ? ['web'] : []), ...background.processes.map(({ id }) => id)];
  const ids = restarted.kind === 'all' ? all : [restarted.part.id];
  const units = ids.map((id) => `${name}-${id}.service`).join(' ');
  return lines(
    '[Unit]',
    `Description=Task ${describedName(part)} of ${name}, run by systemd`,
    '',
    '[Service]',
    'Type=oneshot',
    // As root, and only units that run. paster control would find no server: each part has one of its own.
    `ExecStart=/bin/systemctl ${restarted.kind === 'all' ? 'try-reload-or-restart' : 'try-restart'} ${units}`,
  );
}

export function timerUnit(name: string, part: BackgroundPart<TaskSettings>, target: string): string {
  const { jitter, missed } = part.settings;
  return lines(
    '[Unit]',
    `Description=Schedule of the task ${describedName(part)} of ${name}`,
    `PartOf=${target}`,
    '',
    '[Timer]',
    ...eventsOf(part).map((event) => `OnCalendar=${event}`),
    // The default is a minute.
    'AccuracySec=1s',
    jitter === 0 ? undefined : `RandomizedDelaySec=${jitter}s`,
    missed === 'once' ? 'Persistent=yes' : undefined,
  );
}

function eventsOf(part: BackgroundPart<TaskSettings>): string[] {
  const { schedule, timezone } = part.settings;
  try {
    return calendarEvents(schedule, timezone);
  } catch (error) {
    throw partError(
      part,
      'schedule',
      `systemd has no calendar for "${schedule}": ${errorMessage(error)}`,
      'export without --split: then paster starts the task',
    );
  }
}

function commandLines(deployment: Deployment, part: CommandPart, account: readonly string[]): string[] {
  const command = localCommand(deployment, part).map((word) => unitWord(word, { command: true }));
  return [
    ...account,
    `WorkingDirectory=${unitLine(deployment.project)}`,
    'Environment=NODE_ENV=production',
    ...variableFiles(deployment).map((file) => `EnvironmentFile=${unitLine(file)}`),
    `ExecStart=${command.join(' ')}`,
  ];
}

/** The first one with `OpenFile=`. Earlier ones ignore it, with a warning at each start. */
const OPEN_FILE_VERSION = 253;

/** The version of systemd on this machine; 0 if there is none. */
function systemdVersion(): number {
  try {
    const version = execFileSync('systemctl', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return Number(/^systemd (\d+)/.exec(version)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** systemd reads them as root, before it becomes the user of the service. */
function variableFiles(deployment: Deployment): readonly string[] {
  const { missing, optionFiles } = deployment.variables;
  return missing.length > 0 ? [...optionFiles, unitVariablesFile(deployment)] : optionFiles;
}

/** Seconds that systemd waits longer than paster does. */
const MARGIN = 10;

function hardeningLines({ project }: Deployment): string[] {
  return ['UMask=0027', ...HARDENING, `ReadWritePaths=${unitWord(`-${join(project, 'var')}`)}`];
}

/** Without MemoryDenyWriteExecute, since V8 compiles code at run time. */
const HARDENING = [
  'NoNewPrivileges=yes',
  'CapabilityBoundingSet=',
  'ProtectSystem=strict',
  'ProtectHome=read-only',
  'PrivateTmp=yes',
  'PrivateDevices=yes',
  'ProtectClock=yes',
  'ProtectHostname=yes',
  'ProtectControlGroups=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'ProtectKernelTunables=yes',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'LockPersonality=yes',
  'SystemCallArchitectures=native',
];

/**
 * @param user the owner of the socket unless the section names one, as if the service created it
 * @param target what starts and stops it; undefined: it is installed on its own
 */
export function socketUnit({ name, others, ...first }: Deployment, user: string, target: string | undefined): string {
  const servers = [first, ...others];
  const addresses = servers.flatMap((each) => each.addresses.filter(({ kind }) => kind !== 'fd'));
  if (addresses.length === 0)
    throw exportError('the server has no address for a socket unit', 'give its section a socket, or host and port');
  const withFile = servers.find((each) => each.addresses.some(({ kind }) => kind === 'unix'));
  const { mode, umask, socket_owner: owner = user, socket_group: group, backlog } = (withFile ?? first).settings;
  const permissions = mode ?? (umask === undefined ? 0o660 : 0o777 & ~umask);
  checkAccount('socket_owner', owner);
  if (group !== undefined) checkAccount('socket_group', group);
  const isFile = withFile !== undefined;
  return lines(
    '[Unit]',
    `Description=Sockets of ${name}`,
    target === undefined ? undefined : `PartOf=${target}`,
    '',
    '[Socket]',
    ...addresses.map((address) => `ListenStream=${listenStream(address)}`),
    `Backlog=${backlog}`,
    isFile ? `SocketMode=${permissions.toString(8).padStart(4, '0')}` : undefined,
    // Without either, root would own the socket. Without a group it gets that of the user (systemd.socket(5)).
    isFile ? `SocketUser=${owner}` : undefined,
    isFile && group !== undefined ? `SocketGroup=${group}` : undefined,
    isFile ? 'RemoveOnStop=yes' : undefined,
    ...(target === undefined ? ['', '[Install]', 'WantedBy=sockets.target'] : []),
  );
}

function listenStream(address: Address): string {
  if (address.kind === 'unix') return unitLine(resolve(address.path));
  if (address.kind === 'fd' || address.port === 0)
    throw exportError('a socket unit cannot listen on port 0', 'name a port');
  const host = address.host === 'localhost' ? '127.0.0.1' : address.host;
  if (!/^[0-9A-Fa-f.:]+$/.test(host))
    throw exportError(`systemd listens on addresses, but ${JSON.stringify(host)} is a name`, 'write an IP address');
  return hostPort({ ...address, host });
}

function isAccount(name: string): boolean {
  return ACCOUNT.test(name) || /^\d{1,9}$/.test(name);
}

export function checkAccount(what: string, name: string): void {
  if (!isAccount(name)) {
    throw exportError(`${what}: ${JSON.stringify(name)} is not an account's name`, 'allowed: www-data');
  }
}
