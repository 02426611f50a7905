/** Finds what sets an application up before its first start: `paster setup-app` calls it, as PasteScript does. */
import { dirname } from 'node:path';
import { ConfigError } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { loadTarget } from './compose.ts';
import type { Context, FactoryContext } from './context.ts';
import { packageAround } from './entry-points.ts';
import { importModule } from './import-module.ts';
import type { AppConfig } from './load.ts';
import { moduleTarget } from './module-target.ts';
import { innerContexts } from './outline.ts';

/** What is called on the hook's behalf: where it can tell what it does. */
export interface SetupCommand {
  readonly name: 'setup-app';
  /** A line for whoever runs the command. */
  say(message: string): void;
}

/** `setup_app(command, conf, vars)` of a package's websetup. `vars` is what the command line gave as `name=value`. */
export type SetupHook = (command: SetupCommand, conf: AppConfig, vars: Settings) => unknown;

const GROUP = 'paste.app_install';

/** Python's name, then JavaScript's. */
const NAMES = ['setup_app', 'setupApp'];

/** The applications that a context is made of, each factory with its configuration once. */
export async function applicationsOf(context: Context): Promise<FactoryContext[]> {
  const found = context.form === 'factory' && context.kind === 'app' ? [context] : [];
  for (const { context: inner } of await innerContexts(context)) found.push(...(await applicationsOf(inner)));
  const bySection = new Map(found.map((each) => [keyOf(each), each]));
  return [...bySection.values()];
}

function keyOf({ sections, target }: FactoryContext): string {
  const [section] = sections;
  return section ? `${section.file}#${section.name}` : target.description;
}

/**
 * The hook of an application: on its factory (`makeApp.setup_app`), in the factory's module (`export function
 * setup_app`), or what its package declares as `paste.app_install` under the name of the entry point.
 *
 * @returns undefined when it has none.
 * @throws ConfigError when what is declared is no hook; RunError when a module fails.
 */
export async function setupHook(context: FactoryContext): Promise<SetupHook | undefined> {
  const { file, description } = context.target;
  const made = hookOf(await loadTarget(context));
  if (made) return made;
  const around = file === undefined ? undefined : await packageAround(file);
  const name = /^(?:npm|egg):[^#]*#(.+)$/.exec(description)?.[1] ?? 'main';
  const declared = around?.entryPoints.get(GROUP)?.get(name);
  if (around && declared !== undefined) {
    const value = await moduleTarget(declared, around.root, undefined).load();
    const hook = typeof value === 'function' ? (hookOf(value) ?? (value as SetupHook)) : hookOf(value);
    if (hook) return hook;
    throw new ConfigError('PASTER_SETUP_HOOK', `${around.name}: ${GROUP} "${name}" (${declared}) is no setup hook`, {
      hint: 'a function setup_app(command, conf, vars), or an object that has one',
    });
  }
  return file === undefined ? undefined : hookOf(await importModule(file, dirname(file)));
}

function hookOf(value: unknown): SetupHook | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  const holder = value as Readonly<Record<string, unknown>>;
  const name = NAMES.find((each) => Object.hasOwn(holder, each) && typeof holder[each] === 'function');
  if (name === undefined) return undefined;
  const hook = holder[name] as SetupHook;
  return (command, conf, vars) => hook.call(value, command, conf, vars);
}
