/** The pid file of this process: written when it serves, taken over from a predecessor, and removed at the exit. */
import {
  type PidFile,
  type PidFileContent,
  type PreparedPidFile,
  preparePidFile,
} from '../../process/daemon/pidfile.ts';
import { fromWorkingDirectory } from '../../working-directory.ts';

export class OwnPidFile {
  readonly #path: string | undefined;
  readonly #content: PidFileContent;
  readonly #predecessor: number | undefined;
  #prepared: PreparedPidFile | undefined;
  #file: PidFile | undefined;

  /**
   * @param path undefined: there is none
   * @param predecessor the process whose file this one takes over
   */
  constructor(path: string | undefined, content: PidFileContent, predecessor?: number) {
    this.#path = path;
    this.#content = content;
    this.#predecessor = predecessor;
  }

  /**
   * For a successor: writes the file under another name, so that this cannot fail when connections are accepted.
   * @throws RunError when it cannot be written
   */
  reserve(): void {
    if (this.#predecessor !== undefined) this.#prepare();
  }

  /**
   * Writes the file, unless that is done. To be called when the sockets are open, and before this process changes its user.
   * @throws RunError when it cannot be written, or belongs to another live server
   */
  claim(): void {
    if (this.#file) return;
    if (!this.#prepared) this.#prepare();
    this.#file = this.#prepared?.take();
  }

  /** Writes the file again if a successor has taken it and failed. @throws as `claim` */
  reclaim(): void {
    if (!this.#file || this.#file.isOwn()) return;
    this.#file = undefined;
    this.#prepare();
    this.claim();
  }

  #prepare(): void {
    if (this.#path === undefined) return;
    const isFirst = this.#prepared === undefined;
    this.#prepared = preparePidFile(fromWorkingDirectory(this.#path), this.#content, this.#predecessor);
    if (isFirst) process.once('exit', () => (this.#file ? this.#file.remove() : this.#prepared?.discard()));
  }
}
