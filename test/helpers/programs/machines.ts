/**
 * Several machines on this one: network namespaces, joined by a bridge in their own namespace, if this user may create
 * them; otherwise loopback addresses. They and their programs end with the test.
 */
import { execFileSync } from 'node:child_process';
import { whenOver } from './lifetime.ts';
import { Program, type ProgramOptions, requireProgram } from './program.ts';

export interface Machine {
  /** The machine's own IPv4 address: its programs listen only there, and connect from there. */
  readonly address: string;
  /** Runs a program on the machine, in its own process group. */
  run(file: string, args: readonly string[], options?: ProgramOptions): Program;
  /** Packets from the machine and to it are lost from now on; no connection gets an error. */
  disconnect(): void;
  reconnect(): void;
}

/** The technique behind the machines, which a test runs with. */
export type MachineKind = 'network namespaces' | 'loopback addresses';

/** The kinds that this user may create. */
export function machineKinds(): MachineKind[] {
  return mayMakeNamespaces() ? ['network namespaces', 'loopback addresses'] : ['loopback addresses'];
}

/** @returns This number of machines; the test's own process can reach each of them. */
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
      // It never existed.
    }
  }
}

let networks = 0;

/**
 * One network for each process and call, from the addresses for benchmarks (RFC 2544), which no real host has. Processes that
 * start one after the other get networks that are seven apart, so that each has some for itself.
 */
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
  // The test's own end of the cable. It is removed with the namespace of the other end.
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
      // `ip netns exec` replaces itself by the program, so the PID is the program's.
      run: (file, args, options) =>
        new Program('ip', ['netns', 'exec', name, file, ...args], { ...options, ownGroup: true }),
      disconnect: () => ip('-n', hub, 'link', 'set', cable, 'nomaster'),
      reconnect: () => ip('-n', hub, 'link', 'set', cable, 'master', 'hub'),
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
      // There is no cable to disconnect: connections are accepted, and nothing arrives.
      disconnect: () => signal('SIGSTOP'),
      reconnect: () => signal('SIGCONT'),
    };
  });
}
