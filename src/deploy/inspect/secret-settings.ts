/**
 * Hides the secret settings of INI files: by name, by the declarations of built-in parts, and in values that contain a
 * secret by interpolation.
 */
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { concealed, isSecretSetting, secretsOf, shownSetting } from '../../secrets.ts';
import { CheckSession } from '../check/check-session.ts';
import { type Context, type FactoryContext, settingsOf } from '../context.ts';
import { kindOfSection } from '../part-kinds.ts';
import { builtinSchema } from '../schema.ts';
import { resolveUri } from '../schemes.ts';
import { ConfigFile } from '../sections/config-file.ts';
import type { LoadSession } from '../session.ts';
import { viewDocument } from './document-view.ts';

/** Returns a setting's value with secrets hidden. */
export type ShowSetting = (setting: {
  readonly file: string;
  readonly section: string;
  readonly key: string;
  readonly value: string;
  /** The text before interpolation; undefined for a value that is in no file. */
  readonly written: string | undefined;
}) => string;

/** Hides nothing. */
export const showSecrets: ShowSetting = ({ value }) => value;

/**
 * Finds the secrets of a file and of the files that it refers to. Imports only built-in parts, and ignores what cannot be
 * resolved.
 */
export async function hideSecrets(file: string, { callerGlobals }: LoadSession): Promise<ShowSetting> {
  const session = new CheckSession(callerGlobals);
  const declared = await declaredSecrets(file, session);
  // A large file has the same few keys in thousands of sections.
  const named = new Map<string, boolean>();
  const isSecret = (path: string, section: string, key: string): boolean => {
    const isNamed = named.get(key) ?? isSecretSetting(key);
    named.set(key, isNamed);
    return isNamed || (declared.size > 0 && (declared.get(sectionId(path, section))?.has(key) ?? false));
  };
  const secrets = secretsOfEnvironment();
  for (const path of session.files) {
    const document = await session.read(path).catch(() => undefined);
    if (!document) continue;
    const values = viewDocument(document, callerGlobals, false).sections.flatMap(({ name, entries }) =>
      entries.filter(({ key }) => isSecret(path, name, key)).map(({ value }) => value),
    );
    // secretsOf drops values that are too short or too common to search for.
    for (const secret of values.flatMap((value) => [...secretsOf({ secret: value })])) secrets.add(secret);
  }
  return ({ file: path, section, key, value, written }) => {
    const shown = shownSetting(key, value, isSecret(path, section, key));
    return written?.includes('%(') ? concealed(shown, secrets) : shown;
  };
}

/** Variables whose names look secret but are the directories of a shell. */
const NO_SECRETS = new Set(['PWD', 'OLDPWD']);

/** The secrets in the environment; the path of an existing file, as in GOOGLE_APPLICATION_CREDENTIALS, is not one. */
function secretsOfEnvironment(): Set<string> {
  const variables = Object.entries(process.env).filter(([name]) => !NO_SECRETS.has(name));
  const secrets = secretsOf(Object.fromEntries(variables));
  for (const secret of secrets) if (isAbsolute(secret) && existsSync(secret)) secrets.delete(secret);
  return secrets;
}

/** For each section, the keys that its part declares secret. */
async function declaredSecrets(file: string, session: CheckSession): Promise<Map<string, Set<string>>> {
  const declared = new Map<string, Set<string>>();
  const document = await session.read(file);
  const loader = await ConfigFile.open(file, session, resolveUri, settingsOf(session.callerGlobals));
  const declare = (path: string, name: string, keys: readonly string[]): void => {
    const id = sectionId(path, name);
    declared.set(id, new Set([...(declared.get(id) ?? []), ...keys]));
  };
  // Sections with the same `use` have the same part: a large file has thousands of sections and few parts.
  const known = new Map<string, readonly string[]>();
  for (const section of document.sections.values()) {
    const kind = kindOfSection(section.name);
    const use = section.entries.get('use')?.value;
    if (!kind || use === undefined) continue;
    const signature = `${kind} ${use}`;
    let keys = known.get(signature);
    if (keys === undefined) {
      const factory = usedFactory(await loader.sectionContext(kind, section, session.callerGlobals, []));
      keys = await secretKeys(factory);
      known.set(signature, keys);
      if (keys.length > 0) for (const { file: path, name } of factory.sections) declare(path, name, keys);
    }
    if (keys.length > 0) declare(file, section.name, keys);
  }
  return declared;
}

/** The factory of the section itself; the parts around and inside it have their own sections. */
function usedFactory(context: Context): FactoryContext {
  switch (context.form) {
    case 'factory':
      return context;
    case 'filter-with':
      return usedFactory(context.next);
    case 'filter-app':
      return usedFactory(context.filter);
    case 'pipeline':
      return usedFactory(context.app);
  }
}

async function secretKeys(context: FactoryContext): Promise<string[]> {
  const { declarations = {} } = (await builtinSchema(context)) ?? {};
  return Object.entries(declarations).flatMap(([name, { type, aliases = [] }]) =>
    type.secret ? [name, ...aliases] : [],
  );
}

function sectionId(file: string, section: string): string {
  return `${file}\n${section}`;
}
