/** The commands by name. Each module is imported only when its command runs, so that `--help` stays cheap. */
import type { Commands } from './command.ts';

export const COMMANDS: Commands = new Map([
  [
    'serve',
    {
      summary: 'serve the application that an INI file describes',
      load: async () => (await import('../serve.ts')).serveCommand,
    },
  ],
  [
    'create',
    {
      summary: 'create a project with etc/develop.ini and etc/config.ini',
      load: async () => (await import('../create.ts')).createCommand,
    },
  ],
  [
    'init',
    {
      summary: 'write etc/ and scripts for the application in this directory',
      load: async () => (await import('../init.ts')).initCommand,
    },
  ],
  [
    'check',
    {
      summary: 'find every error in an INI file without serving it',
      load: async () => (await import('../configuration/check.ts')).checkCommand,
    },
  ],
  [
    'config',
    {
      summary: 'show an INI file as paster reads it',
      load: async () => (await import('../configuration/config.ts')).configCommand,
    },
  ],
  [
    'points',
    {
      summary: 'list the parts that an INI file can use',
      load: async () => (await import('../configuration/points.ts')).pointsCommand,
    },
  ],
  [
    'request',
    {
      summary: 'send one request to an application, without a server',
      load: async () => (await import('../application/request.ts')).requestCommand,
    },
  ],
  [
    'post',
    {
      summary: 'send standard input to an application, without a server',
      load: async () => (await import('../application/request.ts')).postCommand,
    },
  ],
  [
    'make-config',
    {
      summary: 'write an INI file for an installed package',
      load: async () => (await import('../application/make-config.ts')).makeConfigCommand,
    },
  ],
  [
    'setup-app',
    {
      summary: 'call the setup_app hook of an application before its first start',
      load: async () => (await import('../application/setup-app.ts')).setupAppCommand,
    },
  ],
  [
    'export',
    {
      summary: 'write deployment configuration: web servers, systemd, Docker, Kubernetes',
      load: async () => (await import('../configuration/export.ts')).exportCommand,
    },
  ],
  [
    'status',
    {
      summary: 'show the running server of an INI file: workers and requests',
      load: async () => (await import('../status.ts')).statusCommand,
    },
  ],
  [
    'control',
    {
      summary: 'control the running server of an INI file',
      load: async () => (await import('../control/control.ts')).controlCommand,
    },
  ],
  [
    'upgrade',
    {
      summary: 'replace a running server by a new process: new paster, Node and application',
      load: async () => (await import('../control/upgrade.ts')).upgradeCommand,
    },
  ],
  [
    'run',
    {
      summary: 'run a scheduled task of an INI file now',
      load: async () => (await import('../application/run-task.ts')).runTaskCommand,
    },
  ],
  [
    'shell',
    {
      summary: 'open a JavaScript prompt with the application loaded',
      load: async () => (await import('../application/shell.ts')).shellCommand,
    },
  ],
  [
    'completion',
    {
      summary: 'print a script that completes command lines in your shell',
      load: async () => (await import('../completion.ts')).completionCommand(COMMANDS),
    },
  ],
  [
    'exe',
    {
      summary: 'run an INI file as its section [exe] says',
      load: async () => (await import('../exe.ts')).exeCommand(COMMANDS),
    },
  ],
]);
