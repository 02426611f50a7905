/**
 * Several machines on this one: network namespaces, joined by a bridge in one of their own, where this user may make
 * them; loopback addresses elsewhere. What they run is ended with the test, and so are they.
 */
import { execFileSync } from 'node:child_process';
import { whenOver } from './lifetime.ts';
import { Program, type ProgramOptions, requireProgram } from './program.ts';

export interface Machine {
  /** Its own, an IPv4 address; on it alone its programs listen, and from it they connect. */
  readonly address: string;
  /** Runs a program there, in a process group of its own. */
  run(file: string, args: readonly string[], options?: ProgramOptions): Program;
  /** Cuts the machine off: its packets and those for it are lost, and no connection gets an error. */
  silence(): void;
  /** Ends the silence. */
  speak(): void;
}

/** How machines are made: what a test has run on. */
export type MachineKind = 'network namespaces' | 'loopback addresses';

/** The kinds that this user may make. */
export function machineKinds(): MachineKind[] {
  return mayMakeNamespaces() ? ['network namespaces', 'loopback addresses'] : ['loopback addresses'];
}

/** @returns So many; the test's own process can reach each of them. */
export function makeMachines(kind: MachineKind, count: number): Machine[] {
  return kind === 'network namespaces' ? namespaces(count) : loopbackAddresses(count);
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function mayMakeNamespaces(): boolean {
  if (process.platform !== 'linux' || requireProgram('ip') === undefined) return false;
  const name = `paster-${process.pid}-try`;
  try {
    ip('netns', 'add', name);
    ip('netns', 'exec', name, 'true');
    return true;
  } catch {
    return false;
  } finally {
    try {
      ip('netns', 'del', name);
    } catch {
      // It was never there.
    }
  }
}

let networks = 0;

/** One network for each process and call, of the addresses for benchmarks (RFC 2544), which no real host has. */
function nextNetwork(): string {
  const number = (process.pid * 7 + networks++) % 512;
  return `198.${18 + (number >> 8)}.${number & 255}`;
}

function namespaces(count: number): Machine[] {
  const network = nextNetwork();
  const own = `pst${process.pid}n${networks}`;
  const hub = `paster-${process.pid}-hub-${networks}`;
  const namespace = (name: string): string => {
    ip('netns', 'add', name);
    whenOver(() => ip('netns', 'del', name));
    return name;
  };
  namespace(hub);
  ip('-n', hub, 'link', 'add', 'hub', 'type', 'bridge');
  ip('-n', hub, 'link', 'set', 'hub', 'up');
  // The test's own end. It goes with the namespace of the other one.
  ip('-n', hub, 'link', 'add', 'test', 'type', 'veth', 'peer', 'name', own, 'netns', String(process.pid));
  ip('-n', hub, 'link', 'set', 'test', 'master', 'hub', 'up');
  ip('addr', 'add', `${network}.1/24`, 'dev', own);
  ip('link', 'set', own, 'up');
  return Array.from({ length: count }, (_, index) => {
    const address = `${network}.${index + 2}`;
    const name = namespace(`paster-${process.pid}-${networks}-${index}`);
    const cable = `to${index}`;
    ip('-n', hub, 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    ip('-n', hub, 'link', 'set', cable, 'master', 'hub', 'up');
    ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    return {
      address,
      // What `ip netns exec` runs takes its place: the pid is the program's.
      run: (file, args, options) =>
        new Program('ip', ['netns', 'exec', name, file, ...args], { ...options, ownGroup: true }),
      silence: () => ip('-n', hub, 'link', 'set', cable, 'nomaster'),
      speak: () => ip('-n', hub, 'link', 'set', cable, 'master', 'hub'),
    };
  });
}

/** A client on the loopback has 127.0.0.1 unless it binds another address, so 127.0.0.1 is the first machine's. */
function loopbackAddresses(count: number): Machine[] {
  return Array.from({ length: count }, (_, index) => {
    const programs: Program[] = [];
    const signal = (name: NodeJS.Signals): void => {
      for (const program of programs) program.signalGroup(name);
    };
    return {
      address: `127.0.0.${index + 1}`,
      run: (file, args, options) => {
        const program = new Program(file, args, { ...options, ownGroup: true });
        programs.push(program);
        return program;
      },
      // No cable can be pulled: connections are accepted, and nothing comes.
      silence: () => signal('SIGSTOP'),
      speak: () => signal('SIGCONT'),
    };
  });
}
