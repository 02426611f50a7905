/** `paster export systemd`: a service and its socket, which systemd keeps open while the service restarts. */
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import type { Address } from '../../net/address.ts';
import { NOTIFY_DESCRIPTOR } from '../../net/inherited-sockets.ts';
import type { Deployment } from '../deployment.ts';
import { exportError, hostPort } from '../site.ts';
import { type ExportedFile, lines, unitLine, unitWord } from '../text.ts';
import { localCommand } from './serve-command.ts';
import { unitVariablesFile } from './variable-notes.ts';

const ACCOUNT = /^[a-z_][a-z0-9_-]{0,31}\$?$/;

/** @param user the user that the service runs as */
export function systemdUnits(deployment: Deployment, user: string): ExportedFile[] {
  const { name } = deployment;
  checkAccount('--user', user);
  const addresses = deployment.addresses.filter(({ kind }) => kind !== 'fd');
  if (addresses.length === 0)
    throw exportError('the server has no address for a socket unit', 'give its section a socket, or host and port');
  return [
    { name: `${name}.service`, text: serviceUnit(deployment, user) },
    { name: `${name}.socket`, text: socketUnit(deployment, addresses, user) },
  ];
}

function serviceUnit(deployment: Deployment, user: string): string {
  const { name, project, settings } = deployment;
  const start = settings.start_timeout;
  return lines(
    '[Unit]',
    `Description=${name}, served by paster`,
    'After=network.target',
    // The socket unit of the same name, even if the user renames both files.
    'Requires=%p.socket',
    '',
    '[Service]',
    'Type=notify',
    // paster writes to it. Otherwise the program systemd-notify sends each message, as a child.
    systemdVersion() >= OPEN_FILE_VERSION ? `OpenFile=/run/systemd/notify:${NOTIFY_DESCRIPTOR}:graceful` : undefined,
    'NotifyAccess=all',
    `User=${user}`,
    `WorkingDirectory=${unitLine(project)}`,
    'Environment=NODE_ENV=production',
    ...variableFiles(deployment).map((file) => `EnvironmentFile=${unitLine(file)}`),
    `ExecStart=${localCommand(deployment)
      .map((word) => unitWord(word, { command: true }))
      .join(' ')}`,
    'ExecReload=/bin/kill -HUP $MAINPID',
    'KillMode=mixed',
    `TimeoutStartSec=${start === 0 ? 'infinity' : Math.ceil(start) + MARGIN}`,
    `TimeoutStopSec=${Math.ceil(settings.graceful_timeout) + MARGIN}`,
    'WatchdogSec=30',
    'Restart=on-failure',
    'UMask=0027',
    ...HARDENING,
    `ReadWritePaths=${unitWord(`-${join(project, 'var')}`)}`,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  );
}

/** The first one with `OpenFile=`. Earlier ones ignore it, with a warning at each start. */
const OPEN_FILE_VERSION = 253;

/** 0 if there is none here. */
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

/** @param user the owner of the socket unless the section names one, as if the service created it */
function socketUnit({ name, settings }: Deployment, addresses: readonly Address[], user: string): string {
  const { mode, umask, socket_owner: owner = user, socket_group: group, backlog } = settings;
  const permissions = mode ?? (umask === undefined ? 0o660 : 0o777 & ~umask);
  checkAccount('socket_owner', owner);
  if (group !== undefined) checkAccount('socket_group', group);
  const isFile = addresses.some(({ kind }) => kind === 'unix');
  return lines(
    '[Unit]',
    `Description=Sockets of ${name}`,
    '',
    '[Socket]',
    ...addresses.map((address) => `ListenStream=${listenStream(address)}`),
    `Backlog=${backlog}`,
    isFile ? `SocketMode=${permissions.toString(8).padStart(4, '0')}` : undefined,
    // Without either, root would own the socket. Without a group it gets that of the user (systemd.socketUnit(5)).
    isFile ? `SocketUser=${owner}` : undefined,
    isFile && group !== undefined ? `SocketGroup=${group}` : undefined,
    isFile ? 'RemoveOnStop=yes' : undefined,
    '',
    '[Install]',
    'WantedBy=sockets.target',
  );
}

function listenStream(address: Address): string {
  if (address.kind === 'unix') return unitLine(resolve(address.path));
  if (address.kind === 'fd' || address.port === 0) throw exportError('port 0 is none for a socket unit', 'name a port');
  const host = address.host === 'localhost' ? '127.0.0.1' : address.host;
  if (!/^[0-9A-Fa-f.:]+$/.test(host))
    throw exportError(`systemd listens on addresses, and ${JSON.stringify(host)} is a name`, 'write an IP address');
  return hostPort({ ...address, host });
}

function checkAccount(what: string, name: string): void {
  if (!ACCOUNT.test(name) && !/^\d{1,9}$/.test(name)) {
    throw exportError(`${what}: ${JSON.stringify(name)} is not an account's name`, 'allowed: www-data');
  }
}
