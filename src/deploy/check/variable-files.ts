/** Checks files of environment variables: those of `--dotenv`, and those of `env_file` in the section of a server. */
import { statSync } from 'node:fs';
import { readEnvFile } from '../../config/env-file.ts';
import { plainPath } from '../../files/existing-path.ts';
import { type FactoryContext, placeOfKey, sectionPrefix } from '../context.ts';
import type { CheckSession } from './check-session.ts';

/** Reports the files of a server that cannot be read or have an invalid line. */
export function checkVariableFiles(files: readonly string[], context: FactoryContext, session: CheckSession): void {
  for (const file of files) {
    try {
      readEnvFile(file, { section: sectionPrefix(context), location: placeOfKey(context, 'env_file') });
      warnOfReaders(file, session);
    } catch (error) {
      session.report(error);
    }
  }
}

/** Warns if every user can read or change a file of secrets. */
export function warnOfReaders(file: string, session: CheckSession): void {
  const stats = statSync(file);
  const mode = stats.mode & 0o777;
  if ((mode & 0o006) === 0 || !stats.isFile()) return;
  const location = { file, line: 1, column: 1 };
  const what = mode & 0o002 ? 'read and change' : 'read';
  session.warn(
    `every user of this machine may ${what} it: chmod ${(mode & 0o770).toString(8)} ${plainPath(file)}`,
    location,
  );
}
