/** The environment variables that a deployment needs: those that its INI file refers to, and its files of variables. */
import { readEnvFile } from '../config/env-file.ts';
import type { IniSection } from '../config/ini.ts';
import type { Context } from '../deploy/context.ts';
import { innerContexts } from '../deploy/inspect/outline.ts';
import { kindOfSection } from '../deploy/part-kinds.ts';
import type { ConfiguredEnvironment } from '../deploy/server/environment.ts';
import type { LoadSession } from '../deploy/session.ts';

export interface DeploymentVariables {
  /** The variables that the INI file refers to and does not set itself, and those in the files of `--dotenv`. */
  readonly names: readonly string[];
  /** Those of the names that are in no file. */
  readonly missing: readonly string[];
  /** Names that no service manager accepts. */
  readonly unusual: readonly string[];
  /** The files of `--dotenv`, as absolute paths. */
  readonly optionFiles: readonly string[];
  /** The files of `env_file`, as absolute paths. paster reads them itself. */
  readonly settingFiles: readonly string[];
}

/** @param contexts the server and the application */
export async function deploymentVariables(
  contexts: readonly Context[],
  session: LoadSession,
  environment: ConfiguredEnvironment,
  optionFiles: readonly string[],
): Promise<DeploymentVariables> {
  const used = new Set<string>();
  for (const context of contexts) await addSections(context, used);
  const referred = new Set<string>();
  for (const file of session.files) {
    const { defaults, sections } = await session.read(file);
    const read = [...sections.values()].filter(
      ({ name }) => used.has(sectionId(file, name)) || (name !== 'exe' && kindOfSection(name) === undefined),
    );
    for (const section of [defaults, ...read]) for (const name of variablesIn(section)) referred.add(name);
  }
  const own = new Set(Object.keys(environment.variables));
  const given = new Set(optionFiles.flatMap((file) => Object.keys(readEnvFile(file))));
  const names = [...new Set([...referred, ...given])].filter((name) => !own.has(name)).sort();
  const usual = names.filter((name) => USUAL_NAME.test(name));
  return {
    names: usual,
    missing: usual.filter((name) => !given.has(name)),
    unusual: names.filter((name) => !USUAL_NAME.test(name)),
    optionFiles,
    settingFiles: environment.files,
  };
}

const USUAL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const REFERENCE = /%%|%\(ENV_([^)]+)\)s/g;

function variablesIn({ entries }: IniSection): string[] {
  return [...entries.values()].flatMap(({ value }) =>
    [...value.matchAll(REFERENCE)].flatMap(([, name]) => (name === undefined ? [] : [name])),
  );
}

/** Adds the sections that a part consists of. */
async function addSections(context: Context, used: Set<string>): Promise<void> {
  for (const { file, name } of context.sections) used.add(sectionId(file, name));
  for (const inner of await innerContexts(context)) await addSections(inner.context, used);
}

function sectionId(file: string, section: string): string {
  return `${file}\n${section}`;
}
