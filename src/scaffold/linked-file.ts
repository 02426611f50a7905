/** Writes to the file behind a symbolic link, so that the link stays and other places that link to the file see the change. */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  writeSync,
} from 'node:fs';

/** Whether `path` is a symbolic link to a file that exists. */
export function isLinkToFile(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink() && statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Replaces the content of the file behind the link. A link that another user made must lead to a file of that user: otherwise
 * it could make the user of this process, such as root, change a file that the owner of the link must not change.
 *
 * @returns a function that restores the content
 * @throws Error if the link is not followed, or the file cannot be written
 */
export function writeThroughLink(link: string, content: Buffer): () => void {
  const linkOwner = lstatSync(link).uid;
  const file = realpathSync(link);
  const write = (data: Buffer): void => {
    const fd = openSync(file, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) throw new Error(`${file} is not a regular file`);
      if (linkOwner !== process.geteuid?.() && linkOwner !== stats.uid) {
        throw new Error(`another user made this link, and ${file} does not belong to that user`);
      }
      ftruncateSync(fd);
      for (let at = 0; at < data.length; ) at += writeSync(fd, data, at);
    } finally {
      closeSync(fd);
    }
  };
  const before = readFileSync(file);
  try {
    write(content);
  } catch (error) {
    try {
      write(before);
    } catch {
      // The first error is reported.
    }
    throw error;
  }
  return () => write(before);
}
