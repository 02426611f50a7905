/**
 * Every key of an app in pm2's ecosystem file, and what its values mean. A key either becomes settings, or has a note that says what
 * to do instead.
 */
import { seconds } from '../../config/settings/setting-types.ts';
import { backgroundSettings } from '../../deploy/background/process-settings.ts';
import type { Location } from '../../errors.ts';
import { readableText } from '../../files/existing-path.ts';

interface EcosystemKey {
  readonly aliases?: readonly string[];
  /** What to do instead; undefined: it becomes settings, or has a note of its own where the settings are made. */
  readonly note?: string;
}

const ALL_WRITE_TO_ONE =
  'paster writes the output of all to its own: use --log-file, or [loggers] with capture_console = true';
const PM2_PLUS = 'belongs to pm2 plus; paster has metrics, tracing and paster status';

export const ECOSYSTEM_KEYS: Readonly<Record<string, EcosystemKey>> = {
  name: {},
  script: { aliases: ['exec', 'cmd', 'command'] },
  args: {},
  cwd: {},
  exec_interpreter: { aliases: ['interpreter'] },
  node_args: { aliases: ['interpreter_args', 'interpreterArgs'] },
  instances: {},
  exec_mode: {},
  env: {},
  port: {},
  max_memory_restart: {},
  kill_timeout: {},
  listen_timeout: {},
  cron_restart: { aliases: ['cron'] },
  autorestart: {},
  watch: {},
  ignore_watch: {},
  uid: { aliases: ['user'] },
  gid: {},
  source_map_support: {},
  wait_ready: {
    note: 'not needed: a program has started when it listens or has loaded, and process.send("ready") has no effect',
  },
  increment_var: {
    note: 'all workers have the same variables and share one port; number processes by sections of their own',
  },
  instance_var: { note: 'workers have no number: what only one of them may do belongs in a [task:*] or [process:*]' },
  namespace: { note: 'choose with --only and --without' },
  autostart: { note: 'start the rest with --without NAME' },
  exp_backoff_restart_delay: { note: 'not needed: paster restarts after growing pauses, 10 s at most' },
  restart_delay: { note: 'not needed: paster restarts after growing pauses, 10 s at most' },
  max_restarts: { note: 'paster goes on to restart it, at most every 10 s' },
  min_uptime: { note: 'a process that has run for 10 s is restarted at once' },
  stop_exit_codes: { note: 'paster restarts a process whatever its exit status: a program that ends is a [task:*]' },
  shutdown_with_message: { note: 'handle SIGTERM or SIGINT instead of the message "shutdown"' },
  treekill: { note: 'paster always ends the children of a command' },
  kill_retry_time: { note: 'not needed: paster kills once, after graceful_timeout' },
  out_file: { aliases: ['out', 'output', 'out_log'], note: ALL_WRITE_TO_ONE },
  error_file: { aliases: ['error', 'err', 'err_file', 'err_log'], note: ALL_WRITE_TO_ONE },
  log_file: { aliases: ['log'], note: ALL_WRITE_TO_ONE },
  merge_logs: { aliases: ['combine_logs'], note: ALL_WRITE_TO_ONE },
  log_type: { note: 'use the JSON formatter in [formatters]' },
  log_date_format: { note: 'use datefmt in [formatters]' },
  time: { note: 'use a formatter with %(asctime)s in [formatters]' },
  disable_logs: { note: 'send the output of paster to /dev/null' },
  pid_file: { aliases: ['pid'], note: 'use --pid-file: paster has one for the supervisor' },
  watch_delay: { note: 'use --reload-interval' },
  watch_options: { note: 'use reload_files and reload_ignore' },
  filter_env: { note: 'start paster with env -i, or by systemd, which passes no variables of a shell' },
  name_prefix: { note: 'rename the section' },
  append_env_to_name: { note: 'write one INI file for each environment' },
  disable_source_map_support: { note: 'not needed: source maps are off by default' },
  install_url: { note: 'not needed: paster installs nothing' },
  vizion: { note: 'not needed: paster reads no version control' },
  force: { note: 'not needed: sections run once each' },
  post_update: { note: 'run the commands before paster control CONFIG reload' },
  execute_command: { note: 'not needed: a command is any program' },
  username: { note: 'not needed' },
  windowsHide: { note: 'not needed: it is for Windows' },
  write: { note: 'not needed' },
  trace: { note: PM2_PLUS },
  disable_trace: { note: PM2_PLUS },
  v8: { note: PM2_PLUS },
  event_loop_inspector: { note: PM2_PLUS },
  deep_monitoring: { note: PM2_PLUS },
  pmx: { note: PM2_PLUS },
  automation: { note: PM2_PLUS },
  io: { note: PM2_PLUS },
};

/** Keys of the file besides `apps`. */
export const FILE_KEYS: Readonly<Record<string, string>> = {
  deploy: 'paster copies no files: deploy with git, rsync or your CI, then run paster control CONFIG reload',
  static: 'serve the files with [app:*] use = npm:paster#static',
};

const CANONICAL = new Map(
  Object.entries(ECOSYSTEM_KEYS).flatMap(([key, { aliases = [] }]) => aliases.map((alias) => [alias, key] as const)),
);

/** The keys of an app by their first name. As in pm2, a first name wins over its aliases. */
export function canonicalApp(app: Fields): Record<string, unknown> {
  const entries = Object.entries(app).map(([key, value]) => [CANONICAL.get(key) ?? key, value, key] as const);
  const aliased = entries.filter(([name, , key]) => name !== key).reverse();
  const own = entries.filter(([name, , key]) => name === key);
  return Object.fromEntries([...aliased, ...own].map(([name, value]) => [name, value]));
}

/** The note for a key that pm2 does not know either. */
export const UNKNOWN_KEY = 'pm2 has no such key';

// --- values: what they mean in an INI file, and where they are written

/** The largest numbers that the settings allow. */
const MAX_MEMORY = backgroundSettings.declarations.max_memory.type.max ?? Number.POSITIVE_INFINITY;
const MAX_SECONDS = seconds.max ?? Number.POSITIVE_INFINITY;

const BYTES: Readonly<Record<string, number>> = { K: 1024, M: 1024 ** 2, G: 1024 ** 3, '': 1 };

/** pm2's `300M`, in MiB. */
export function mebibytesOf(value: unknown): string | undefined {
  const [, number, unit = ''] = /^(\d+)([KMG]?)$/.exec(textOf(value) ?? '') ?? [];
  if (number === undefined) return undefined;
  const size = Math.max(1, Math.round((Number(number) * (BYTES[unit] ?? 1)) / 1024 ** 2));
  return size > MAX_MEMORY ? undefined : String(size);
}

export function secondsOf(milliseconds: unknown): string | undefined {
  const number = Number(milliseconds ?? Number.NaN);
  return number > 0 && number / 1000 <= MAX_SECONDS ? String(number / 1000) : undefined;
}

/** The values of a section of the file, such as those of an app, by key. */
export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

/**
 * Finds a value in the text of the file, which is code: its values have no places.
 * @param keys under which the value may be written
 * @returns where the value is written, or else the beginning of the file: code may have computed it
 */
export function placeOfValue(file: string, keys: readonly string[], value: string): Location {
  const text = readableText(file) ?? '';
  const literal = value.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  const [written] = keys.flatMap((key) => {
    const match = new RegExp(`(?<![\\w$])${key}['"]?[ \\t]*:[ \\t]*(['"\`]?)(?=${literal}(?!\\w))`).exec(text);
    return match ? match.index + match[0].length - (match[1]?.length ?? 0) : [];
  });
  const before = text.slice(0, written ?? Math.max(0, text.indexOf(value))).split('\n');
  return { file, line: before.length, column: (before.at(-1) ?? '').length + 1 };
}
