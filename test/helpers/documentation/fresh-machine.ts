/**
 * A Debian machine for one test, made of namespaces: /etc is an overlay of this machine's, or a copy if the kernel refuses
 * one. /srv, /run and /var/log are empty, every port is free, its address is 10.0.0.11, and all its processes end with it.
 * This repository is at /mnt, readable by every user. Root gets a machine with other users; any other user is root there, alone.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeScripts } from '../directory.ts';
import { whenOver } from '../programs/lifetime.ts';
import { Program, type ProgramOptions, ROOT, requireProgram, requireRoot } from '../programs/program.ts';
import { noteSkipped } from '../skipped.ts';

/** The path of this repository on the machine. */
export const CLONE = '/mnt';

const isRoot = process.getuid?.() === 0;
const NAMESPACES = [...(isRoot ? [] : ['--user']), '--mount', '--net', '--pid'];
const UNSHARE = [...NAMESPACES, ...(isRoot ? [] : ['--map-root-user'])];

/** Installing a package only starts its services: the packages are on this machine already. */
const APT_GET = '#!/bin/sh\n[ "$1" = install ] && exec systemctl start "$2"\n';

/** Replaces systemd, which the machine lacks: runs the commands of Debian's units. */
const SYSTEMCTL = `#!/bin/sh
run_haproxy() { (. /etc/default/haproxy; exec haproxy -W -D -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid $EXTRAOPTS); }
case "$1 $2" in
  'start nginx') nginx ;;
  'reload nginx') nginx -s reload ;;
  'start lighttpd') lighttpd -f /etc/lighttpd/lighttpd.conf ;;
  'reload lighttpd') kill -USR1 "$(cat /run/lighttpd.pid)" ;;
  'start apache2') apachectl start ;;
  'restart apache2') apachectl restart ;;
  'start caddy') caddy start --config /etc/caddy/Caddyfile ;;
  'reload caddy') caddy reload --config /etc/caddy/Caddyfile --force ;;
  'start haproxy') run_haproxy ;;
  'restart haproxy') kill "$(cat /run/haproxy.pid)"; run_haproxy ;;
  *) echo "systemctl: $* is not known here"; exit 1 ;;
esac
`;

/** Without root, the home directory on the machine: paster stores keys only where no unknown user controls the path. */
const READER = '/reader';

/**
 * Gives the machine a root directory of its own, with the directories of this one in it. Without root, the owner of this one is
 * unknown in the namespace, so paster would refuse to make a socket below it.
 */
const ownRoot = (home: string) => `mkdir '${home}/root'
mount -t tmpfs -o mode=755 none '${home}/root'
cd '${home}/root'
for each in /*; do
  if [ -L "$each" ]; then cp -P "$each" .
  elif [ -d "$each" ]; then mkdir ".$each" && mount --rbind "$each" ".$each"
  fi
done
PATH="$PATH:/usr/sbin:/sbin" pivot_root . .
umount -l .
cd /
mkdir ${READER}
mount --bind '${home}' ${READER}
`;

function setUp(home: string): string {
  return `set -e
${isRoot ? '' : ownRoot(home)}mkdir '${home}/etc'
mount -t tmpfs -o mode=755 none '${home}/etc'
mkdir -m 755 '${home}/etc/new' '${home}/etc/work'
if ! mount -t overlay -o 'lowerdir=/etc,upperdir=${home}/etc/new,workdir=${home}/etc/work' none /etc 2>/dev/null; then
  rmdir '${home}/etc/new' '${home}/etc/work'
  cp -a /etc/. '${home}/etc/'${isRoot ? '' : ' 2>/dev/null || true'}
  mount --bind '${home}/etc' /etc
fi
mount --bind '${ROOT}' ${CLONE}
mount --bind '${home}/srv' /srv
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /var/log
mkdir -m 777 /run/haproxy /run/lock /run/lighttpd /var/log/nginx /var/log/lighttpd /var/log/apache2
# Servers of the same INI file on two machines would find each other in the directory for temporary files, which all share.
mkdir -p /run/user/0
chmod 700 /run/user/0
${isRoot ? 'install -d -o www-data -m 700 /run/user/$(id -u www-data)' : ''}
ip link set lo up
ip address add 10.0.0.11/8 dev lo
echo ready
exec sleep infinity
`;
}

let isAllowed: boolean | undefined;

/**
 * Whether this user can create a machine: containers may forbid namespaces. If not, that is reported once.
 *
 * @param forRoot with other users than root
 */
export function mayHaveMachine(forRoot: boolean): boolean {
  if (forRoot && !requireRoot()) return false;
  if (isAllowed === undefined) {
    isAllowed = requireProgram('ip') !== undefined && canUnshare();
    if (!isAllowed) noteSkipped('namespaces');
  }
  return isAllowed;
}

function canUnshare(): boolean {
  try {
    execFileSync('unshare', [...UNSHARE, 'mount', '-t', 'tmpfs', 'none', '/srv'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export class FreshMachine {
  readonly #home: string;
  readonly #pid: string;

  /** @param home a directory: its `srv` is mounted as /srv, and its `bin` has commands for PATH */
  static async start(home: string): Promise<FreshMachine> {
    mkdirSync(join(home, 'srv'), { recursive: true });
    writeScripts(join(home, 'bin'), { 'apt-get': APT_GET, systemctl: SYSTEMCTL });
    const options = ['--fork', '--kill-child', '--mount-proc'];
    // Not bash: when its standard input is a socket, it reads the ~/.bashrc of the user who runs the tests.
    const init = new Program('unshare', [...UNSHARE, ...options, '/bin/sh', '-c', setUp(home)]);
    await init.says(/^ready$/m);
    // It ignores every other signal while its child runs, and ends the child too.
    whenOver(() => init.kill('SIGKILL'));
    const [pid = ''] = readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, 'utf8').split(' ');
    return new FreshMachine(home, pid);
  }

  private constructor(home: string, pid: string) {
    this.#home = home;
    this.#pid = pid;
  }

  /** Runs a program on the machine, in one of its directories. */
  run(file: string, args: readonly string[], options: ProgramOptions & { readonly cwd: string }): Program {
    const { cwd, ...others } = options;
    const into = [
      '--target',
      this.#pid,
      ...NAMESPACES,
      ...(isRoot ? [] : ['--preserve-credentials']),
      '--',
      'env',
      '-C',
      cwd,
      file,
      ...args,
    ];
    return new Program('nsenter', into, others);
  }

  /** The path on that machine of the directory that it was started with. */
  get home(): string {
    return isRoot ? this.#home : READER;
  }

  /** The path on this machine of a path on that one. */
  outside(path: string): string {
    return path.replace(/^\/srv(?=\/|$)/, join(this.#home, 'srv'));
  }
}
