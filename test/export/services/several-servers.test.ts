/** `paster export docker` and `paster export kubernetes` of an INI file with several servers. */
import { Service } from 'kubernetes-models/v1';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { writeFiles } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { HTTP, ini, project } from '../site.ts';

describe('several servers', () => {
  test('a container leaves out further HTTP servers, and keeps the one with the settings of the processes', async () => {
    const directory = project(HTTP);
    const [first, live] = [
      'use = npm:paster#fastcgi\nsocket = ../var/a.sock\nworkers = 2',
      'use = npm:paster#http\nport = 8085',
    ];
    const servers = `[server:main]\n${first}\n[server:live]\n${live}\n[server:other]\n${live.replace('8085', '8086')}\n`;
    const app = '[app:main]\nuse = npm:paster#test\n';
    writeFiles(directory, { 'etc/config.ini': `[paster]\nserve = main live other\n${app}${servers}` });
    const { stdout, stderr } = await runHere(['export', 'docker', ini(directory)]);
    const [, words = ''] = /^CMD (.*)$/m.exec(stdout) ?? [];
    const address = ['--host', '0.0.0.0', '--port', '8085'];
    const options = ['--server-name', 'main', '--server-name', 'live', ...address];
    expect(JSON.parse(words).slice(2)).toEqual(['serve', ...options, 'etc/config.ini']);
    expect(stderr).toContain('[server:live] is the only server for HTTP: [server:other] is left out');
  });

  const FIRST = '[server:main]\nuse = npm:paster#fastcgi\n';
  const LIVE = '[server:live]\nuse = npm:paster#http\nport = 8085\n';

  test.each([
    ['is reachable', `${FIRST}host = 0.0.0.0\nport = 5050\nallow = 10.0.0.0/8\n${LIVE}`, [8085, 5050], ''],
    [
      'listens on a loopback address',
      `${FIRST}host = 127.0.0.1\nport = 5050\n${LIVE}`,
      [8085],
      '[server:main] listens on 127.0.0.1:5050 in the container, where only its own processes reach it: write host = 0.0.0.0, and allow',
    ],
    [
      'has a Unix socket',
      `${FIRST}socket = /run/a.sock\n${LIVE}`,
      [8085],
      '[server:main] cannot listen on unix:/run/a.sock in the container, which can write only to var/ and /tmp: write socket = %(here)s/../var/a.sock, or',
    ],
    [
      'has a Unix socket in the project',
      `${FIRST}socket = %(here)s/../a.sock\n${LIVE}`,
      [8085],
      '[server:main] cannot listen on unix:',
    ],
    [
      'has a Unix socket in var/',
      `${FIRST}socket = %(here)s/../var/a.sock\n${LIVE}`,
      [8085],
      '[server:main] listens on unix:',
    ],
    [
      'speaks HTTP too',
      `${LIVE.replace('live', 'main').replace('8085', '8086')}${LIVE}`,
      [8086],
      'in a container [server:main] is the only server for HTTP: [server:live] is left out',
    ],
  ])('the ports of a container, and a comment on the other server, if that %s', async (_what, servers, ports, note) => {
    const directory = project(HTTP);
    const app = '[app:main]\nuse = npm:paster#test\n';
    writeFiles(directory, { 'etc/config.ini': `[paster]\nserve = main, live\n${app}${servers}` });
    const docker = await runHere(['export', 'docker', ini(directory)]);
    const cluster = await runHere(['export', 'kubernetes', ini(directory)]);
    for (const { stdout, stderr } of [docker, cluster]) {
      expect(stderr.includes('[server:')).toBe(note !== '');
      expect(stderr).toContain(note);
      expect(stdout).toContain(note && `# ${note}`);
    }
    expect(docker.stdout).toContain(`\nEXPOSE ${ports.join(' ')}\n`);
    const objects = parseAllDocuments(cluster.stdout).map((document) => document.toJS());
    const spec = (kind: string) => objects.find((each) => each.kind === kind).spec;
    const inPod: { name: string; containerPort: number }[] = spec('Deployment').template.spec.containers[0].ports;
    const inService: { targetPort: string }[] = spec('Service').ports;
    expect(inPod.map(({ containerPort }) => containerPort)).toEqual(ports);
    expect(inService.map(({ targetPort }) => targetPort)).toEqual(inPod.map(({ name }) => name));
    expect(() => new Service(objects.find(({ kind }) => kind === 'Service')).validate()).not.toThrow();
  });
});
