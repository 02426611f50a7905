/** Temporary directories that are removed with the test. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { whenOver } from './programs/lifetime.ts';

/** A new directory with `files` (paths to texts) in it; removed when the test ends. */
export function temporaryDirectory(files: Readonly<Record<string, string>> = {}): string {
  const directory = mkdtempSync(join(tmpdir(), 'paster-'));
  whenOver(() => rmSync(directory, { recursive: true, force: true }));
  writeFiles(directory, files);
  return directory;
}

/** Mounts a file system of 64 KiB at a directory, for root only; unmounted when the test ends. */
export function mountSmallDisk(directory: string): void {
  mkdirSync(directory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
  whenOver(() => execFileSync('umount', ['--lazy', directory]));
}

export function writeFiles(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}

/** The files in a directory and below it, in the form that `writeFiles` accepts. */
export function readFiles(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name));
  return Object.fromEntries(paths.map((path) => [relative(directory, path), readFileSync(path, 'utf8')]));
}

/** Like `writeFiles`, for executable files. */
export function writeScripts(directory: string, files: Readonly<Record<string, string>>): void {
  writeFiles(directory, files);
  for (const name of Object.keys(files)) chmodSync(join(directory, name), 0o755);
}
