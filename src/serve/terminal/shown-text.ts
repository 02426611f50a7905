/** Times, files and long texts as `serve` shows them at a terminal. */
import { relative } from 'node:path';
import { printableLine } from '../../printable.ts';
import { workingDirectory } from '../../working-directory.ts';

/** A duration in milliseconds, or in seconds if it is longer than one second. */
export function shownTime(milliseconds: number): string {
  return milliseconds < 999.5 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** `18:28:12` */
export function clockTime(time: Date): string {
  const parts = [time.getHours(), time.getMinutes(), time.getSeconds()];
  return parts.map((each) => String(each).padStart(2, '0')).join(':');
}

/** A file relative to the working directory if it is below it. */
export function fromHere(file: string): string {
  const path = relative(workingDirectory(), file);
  return printableLine(path === '' || path.startsWith('..') ? file : path);
}

/** A text that fits into this number of columns, but at least ten. */
export function cut(text: string, room: number): string {
  return text.length <= Math.max(room, 10) ? text : `${text.slice(0, Math.max(room, 10) - 1)}…`;
}
