/**
 * `paster export systemd`: a service and its socket, which systemd keeps open while the service restarts. With `--split` each
 * background process is a service too, and each task a service with a timer, below one target.
 */
import { partError } from '../background.ts';
import type { Deployment } from '../deployment.ts';
import { type ExportedFile, lines } from '../text.ts';
import {
  accountLines,
  checkAccount,
  describedName,
  restartUnit,
  serviceUnit,
  socketUnit,
  taskUnit,
  timerUnit,
} from './unit-files.ts';

/** @param user the user that the services run as */
export function systemdUnits(deployment: Deployment, user: string, isSplit: boolean): ExportedFile[] {
  checkAccount('--user', user);
  return isSplit ? splitUnits(deployment, user) : wholeUnits(deployment, user);
}

/** One service that runs everything. */
function wholeUnits(deployment: Deployment, user: string): ExportedFile[] {
  const { name, hasServer, background, settings } = deployment;
  for (const part of [...background.processes, ...background.tasks]) {
    for (const [setting, account] of [['user', part.settings.user] as const, ['group', part.settings.group] as const]) {
      if (account === undefined || (setting === 'user' && account === user)) continue;
      throw partError(part, setting, `the service runs as ${user} and cannot become ${account}`, 'export with --split');
    }
  }
  const timeouts = [...(hasServer ? [settings] : []), ...background.processes.map((each) => each.settings)];
  const service = serviceUnit(deployment, {
    part: 'all',
    description: `${name}, served by paster`,
    account: [`User=${user}`],
    hasSocket: hasServer,
    // The processes start after the web workers.
    startTimeout: timeouts.some((each) => each.start_timeout === 0)
      ? 0
      : timeouts.reduce((sum, each) => sum + each.start_timeout, 0),
    target: undefined,
  });
  const socket = hasServer ? [{ name: `${name}.socket`, text: socketUnit(deployment, user, undefined) }] : [];
  return [{ name: `${name}.service`, text: service }, ...socket];
}

function splitUnits(deployment: Deployment, user: string): ExportedFile[] {
  const { name, hasServer, background, settings } = deployment;
  const target = `${name}.target`;
  const units: ExportedFile[] = [];
  if (hasServer) {
    const service = serviceUnit(deployment, {
      part: 'web',
      description: `${name}, served by paster`,
      account: [`User=${user}`],
      hasSocket: true,
      startTimeout: settings.start_timeout,
      target,
    });
    units.push({ name: `${name}-web.service`, text: service });
    units.push({ name: `${name}-web.socket`, text: socketUnit(deployment, user, target) });
  }
  for (const part of background.processes) {
    const service = serviceUnit(deployment, {
      part,
      description: `Process ${describedName(part)} of ${name}, run by paster`,
      account: accountLines(part, user),
      hasSocket: false,
      startTimeout: part.settings.start_timeout,
      target,
    });
    units.push({ name: `${name}-${part.id}.service`, text: service });
  }
  for (const part of background.tasks) {
    units.push({
      name: `${name}-${part.id}.service`,
      text: restartUnit(deployment, part) ?? taskUnit(deployment, part, user),
    });
    units.push({ name: `${name}-${part.id}.timer`, text: timerUnit(name, part, target) });
  }
  // A timer starts the service of a task.
  const tasks = new Set(background.tasks.map(({ id }) => `${name}-${id}.service`));
  const wanted = units.map((unit) => unit.name).filter((unit) => !tasks.has(unit));
  const text = lines(
    '[Unit]',
    `Description=${name}: all that its INI file runs`,
    `Wants=${wanted.join(' ')}`,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  );
  return [{ name: target, text }, ...units];
}
