/**
 * What passes between a server and its successor, which may run in another Node and be another version of paster. A change that
 * an earlier version does not understand needs a new protocol number.
 */
import type { TaskRun } from '../../metrics/server-status.ts';
import type { InheritedListener } from '../../net/inherited-sockets.ts';
import type { ConnectionMessage } from '../ipc/messages.ts';

/** The number of the protocol. */
export const UPGRADE_PROTOCOL = 1;

/** What a server leaves to its successor. Descriptors are numbers of the successor. */
export interface Inheritance {
  readonly protocol: number;
  /** Open sockets by the addresses of the configuration. */
  readonly sockets: Readonly<Record<string, InheritedListener>>;
  /** The sockets of systemd, in their order. */
  readonly passed: readonly number[];
  /** Connected to the socket for notifications of systemd. */
  readonly notifyFd?: number | undefined;
  /** The pipe to the process that was started in the foreground. */
  readonly launcherFd?: number | undefined;
  /** The server runs in the background: it has a session of its own, and no process waits for its end. */
  readonly isDaemon: boolean;
  /** Another process starts the server again when it dies, and has the pid file. */
  readonly isMonitored: boolean;
}

export type ToSuccessor =
  | ConnectionMessage
  /** The response to `ready`. */
  | {
      readonly paster: 'take-over';
      /** Until when tasks that were due have begun, in milliseconds. Earlier versions do not send it. */
      readonly tasksBegunUntil?: number;
    }
  /** How the last run of a task went, for its status. Earlier versions neither send nor read it. */
  | { readonly paster: 'task-run'; readonly task: string; readonly run: TaskRun };

export type FromSuccessor =
  | ConnectionMessage
  /** The new process can take over: it has loaded everything, and its workers accept connections already. */
  | { readonly paster: 'ready'; readonly version: string; readonly node: string };
