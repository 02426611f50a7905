/** How `paster create --from` reads a Procfile. */
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { create, PROGRAMS, SERVER } from './migration.ts';

describe('a Procfile', () => {
  test('a byte order mark is not part of the first name', async () => {
    const { status, config } = await create({ Procfile: '\uFEFFweb: node server.js\r\n' });
    expect(status).toBe(0);
    expect(config).toContain('[server:main]');
  });

  test('a shell command stays a command, and the release command is run by hand', async () => {
    const { status, config, stdout } = await create({
      Procfile: 'web: gunicorn app:app -b :$PORT\nworker: node worker.js | tee log\nrelease: node migrate.js\n',
    });
    expect(status).toBe(0);
    expect(config).not.toContain('[server:main]');
    expect(config).toContain(
      "[process:web-app]\ncommand = sh -c 'exec gunicorn app:app -b :$PORT'\ncwd = %(here)s/..\nexclusive = true",
    );
    expect(config).toContain("command = sh -c 'node worker.js | tee log'");
    expect(config).toContain('    PORT=5100');
    expect(stdout).toContain('release: run it before paster control CONFIG reload');
  });

  test('a server is served even if npm starts it, or it follows another command', async () => {
    const { config, stdout } = await create({
      Procfile: 'web: npm start\nadmin: cd sub && node own.js\n',
      'package.json': '{ "scripts": { "start": "prisma migrate deploy && node server.js" } }',
      'sub/own.js': SERVER,
    });
    expect(config).toContain('use = listen:../server.js');
    expect(stdout).toContain('web: it begins with "prisma migrate deploy": run that before paster serve starts');
    expect(config).toContain('use = program:../sub/own.js\ncwd = %(here)s/../sub\nexclusive = true');
  });

  test('a PORT in .env that is not a port is an error', async () => {
    for (const port of ['abc', '99999', '-1']) {
      const { status, stderr, written } = await create({ Procfile: 'web: node server.js\n', '.env': `PORT=${port}\n` });
      expect(status).toBe(2);
      expect(stderr).toContain(`.env:1:1: PORT: "${port}" is not a port (allowed: a whole number from 1 to 65535)`);
      expect(written).not.toHaveProperty(['etc/config.ini']);
    }
  });

  test('a port above 65535 is an error', async () => {
    const lines = 'web: node server.js\nworker: node worker.js\n';
    const { status, stderr, written } = await create({ Procfile: lines, '.env': '# ours\nPORT=1\nPORT=65500\n' });
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr:
        'paster: .env:3:1: PORT: 65500 is too high for 2 processes: "worker" would get port 65600 (write PORT= with a number from 1 to 65435 into .env: each process gets a port 100 higher than the one before)\n',
    });
    expect(written).not.toHaveProperty(['etc/config.ini']);
    expect((await create({ Procfile: lines, '.env': 'PORT=65435\n' })).config).toContain('    PORT=65535');
    const many = lines + Array.from({ length: 605 }, (_each, index) => `w${index}: node worker.js\n`).join('');
    expect((await create({ Procfile: many })).stderr).toContain(
      'Procfile:607:1: PORT: 5000 is too high for 607 processes',
    );
    // foreman would use the PORT of the shell; the created files do not depend on it.
    const directory = temporaryDirectory({ ...PROGRAMS, Procfile: lines });
    const made = await runHere(['create', '--from', 'Procfile'], { cwd: directory, env: { PORT: '65500' } });
    expect(made).toMatchObject({ status: 0, stdout: expect.stringContaining('port 5000') });
  });

  test('an error is reported with its line', async () => {
    const { status, stderr } = await create({ Procfile: 'web: node server.js\nworker node worker.js\n' });
    expect(status).toBe(2);
    expect(stderr).toContain('Procfile:2:1: "worker node worker.js" is not a process');
    expect((await create({ Procfile: '# none\n' })).stderr).toContain('Procfile:1:1: there is no process');
  });
});
