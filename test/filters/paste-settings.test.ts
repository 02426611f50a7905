/** Sections of Paste's own filters load unchanged: each setting of Paste's factories has an effect, or gets a warning. */
import { expect, test } from 'vitest';
import { loadFilter } from '../../src/deploy/load.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';

const SECRET = 'x'.repeat(32);

/** By name: settings that have an effect, and those that get a warning. */
const SECTIONS: Readonly<Record<string, readonly [settings: string, withoutEffect: string]>> = {
  'Paste#translogger': [
    'logger_name = a\nformat =\nlogging_level = INFO\nsetup_console_handler = yes\nset_logger_level = DEBUG',
    '',
  ],
  'Paste#error_catcher': [
    'debug = on\nerror_log = e.log\nshow_exceptions_in_wsgi_errors = on\nerror_message = m',
    'error_email from_address smtp_server smtp_username smtp_password smtp_use_tls error_subject_prefix xmlhttp_key',
  ],
  'Paste#evalerror': ['', 'xmlhttp_key'],
  'Paste#cgitb': ['display = no', 'logdir context format'],
  'Paste#gzip': ['compress_level = 6', ''],
  'Paste#errordocument': ['404 = /missing\n500 = /failed', ''],
  'Paste#httpexceptions': ['', 'warning_level'],
  'Paste#recursive': ['', ''],
  'Paste#lint': ['', ''],
  'Paste#printdebug': ['', 'force_content_type print_wsgi_errors replace_stdout'],
  'Paste#profile': ['log_filename = p.log\nlimit = 40', ''],
  'Paste#grantip': ['clobber_username = no\n127.0.0.1 = joe:admin', ''],
  'Paste#paste_session': [
    `secret = ${SECRET}\ncookie_name = _SID_`,
    'session_expiration expiration session_file_path chmod',
  ],
  'PasteDeploy#prefix': ['prefix = /app\ntranslate_forwarded_server = no\nforce_port = 443\nscheme = https', ''],
};

test.each(Object.entries(SECTIONS))('egg:%s loads', async (name, [settings, withoutEffect]) => {
  const useless = withoutEffect.split(' ').filter(Boolean);
  const lines = [settings, ...useless.map((key) => `${key} = x`)].filter(Boolean).join('\n');
  const directory = temporaryDirectory({
    'x.ini': `[server:main]\nuse = egg:Paste#http\n[filter-app:main]\nuse = egg:${name}\nnext = app\n${lines}\n[app:app]\nuse = egg:Paste#test\n`,
    'y.ini': `[filter:main]\nuse = egg:${name}\n${lines}\n`,
  });
  const { status, stdout } = await runHere(['check', 'x.ini'], { cwd: directory });
  expect([status, [...stdout.matchAll(/warning: \[\S+\] (\S+) has no effect/g)].map(([, key]) => key)]).toEqual([
    0,
    useless,
  ]);
  await expect(loadFilter('config:y.ini', { relativeTo: directory })).resolves.toBeTypeOf('function');
});
