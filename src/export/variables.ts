/** The environment variables that a deployment needs: those that its INI file refers to, and its files of variables. */
import { readEnvFile } from '../config/env-file.ts';
import type { IniSection } from '../config/ini/ini.ts';
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

/** Sections that run in one process, and the environment that they have. */
export interface PartWithVariables {
  readonly contexts: readonly Context[];
  readonly environment: ConfiguredEnvironment;
}

/** @param parts the server with the application, and each background process and task */
export async function deploymentVariables(
  parts: readonly PartWithVariables[],
  session: LoadSession,
  optionFiles: readonly string[],
): Promise<DeploymentVariables> {
  const given = new Set(optionFiles.flatMap((file) => Object.keys(readEnvFile(file))));
  const all = new Set<string>();
  for (const { contexts, environment } of parts) {
    const own = new Set(Object.keys(environment.variables));
    for (const name of [...(await referredVariables(contexts, session)), ...given]) if (!own.has(name)) all.add(name);
  }
  const names = [...all].sort();
  const usual = names.filter((name) => USUAL_NAME.test(name));
  return {
    names: usual,
    missing: usual.filter((name) => !given.has(name)),
    unusual: names.filter((name) => !USUAL_NAME.test(name)),
    optionFiles,
    settingFiles: [...new Set(parts.flatMap(({ environment }) => environment.files))],
  };
}

/** Those of the parts, of [DEFAULT] and of sections that are no parts, such as `[loggers]`. */
async function referredVariables(contexts: readonly Context[], session: LoadSession): Promise<Set<string>> {
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
  return referred;
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
