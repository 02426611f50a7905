/** `paster export systemd`: a service and its socket, which systemd holds while the service restarts. */
import { join, resolve } from 'node:path';
import type { Address } from '../net/address.ts';
import type { Deployment } from './deployment.ts';
import { unitLine, unitWord } from './quote.ts';
import { commandHere } from './serve-command.ts';
import { hostPort, mistake } from './site.ts';
import { type ExportedFile, lines } from './text.ts';

const ACCOUNT = /^[a-z_][a-z0-9_-]{0,31}\$?$/;

/** @param user whose the service is. */
export function systemdUnits(deployment: Deployment, user: string): ExportedFile[] {
  const { name } = deployment;
  checkAccount('--user', user);
  const addresses = deployment.addresses.filter(({ kind }) => kind !== 'fd');
  if (addresses.length === 0)
    throw mistake('the server has no address for a socket unit', 'give its section a socket, or host and port');
  return [
    { name: `${name}.service`, text: service(deployment, user) },
    { name: `${name}.socket`, text: socket(deployment, addresses, user) },
  ];
}

function service(deployment: Deployment, user: string): string {
  const { name, project, settings } = deployment;
  const start = settings.start_timeout;
  return lines(
    '[Unit]',
    `Description=${name}, served by paster`,
    'After=network.target',
    // Of the same name, whatever the files are called.
    'Requires=%p.socket',
    '',
    '[Service]',
    'Type=notify',
    // Node has the program systemd-notify speak for it.
    'NotifyAccess=all',
    `User=${user}`,
    `WorkingDirectory=${unitLine(project)}`,
    'Environment=NODE_ENV=production',
    `ExecStart=${commandHere(deployment)
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

/** Seconds that systemd waits longer than paster itself. */
const MARGIN = 10;

/** Not MemoryDenyWriteExecute: V8 compiles as it runs. */
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

/** @param user whose the socket is where the section names no owner, as it would be if the service made it. */
function socket({ name, settings }: Deployment, addresses: readonly Address[], user: string): string {
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
    // Without both it would be root's. Without a group it gets this user's (systemd.socket(5)).
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
  if (address.kind === 'fd' || address.port === 0) throw mistake('port 0 is none for a socket unit', 'name a port');
  const host = address.host === 'localhost' ? '127.0.0.1' : address.host;
  if (!/^[0-9A-Fa-f.:]+$/.test(host))
    throw mistake(`systemd listens on addresses, and ${JSON.stringify(host)} is a name`, 'write an IP address');
  return hostPort({ ...address, host });
}

function checkAccount(what: string, name: string): void {
  if (!ACCOUNT.test(name) && !/^\d{1,9}$/.test(name)) {
    throw mistake(`${what}: ${JSON.stringify(name)} is not an account's name`, 'allowed: www-data');
  }
}
