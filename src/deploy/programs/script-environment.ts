/** What a script of package.json gives its program by variables and options of Node, as lines for `environment` of an INI file. */
import type { FoundProgram } from './find-program.ts';

export interface ScriptEnvironment {
  /** `NAME=value`, each name once. */
  readonly lines: readonly string[];
  /** Options of Node that no variable can replace, as the script has them. */
  readonly lost: readonly string[];
}

const LONG_NAMES: Readonly<Record<string, string>> = { '-r': '--require', '-C': '--conditions' };

/** `--dotenv` of the script that `create .` adds does the same. */
const ENV_FILE = /^--env-file\b/;

export function scriptEnvironment({
  variables = [],
  nodeOptions = [],
}: Pick<FoundProgram, 'variables' | 'nodeOptions'>): ScriptEnvironment {
  const values = new Map<string, string>();
  for (const variable of variables) {
    const end = variable.indexOf('=');
    values.set(variable.slice(0, end), variable.slice(end + 1));
  }
  // The port is a setting of its own.
  values.delete('PORT');
  const options = nodeOptions.filter((each) => !ENV_FILE.test(each));
  const allowed = options.filter(isAllowedInVariable);
  if (allowed.length > 0) {
    values.set('NODE_OPTIONS', [values.get('NODE_OPTIONS') ?? '', ...allowed.map(inVariable)].join(' ').trim());
  }
  return {
    lines: [...values].map(([name, value]) => `${name}=${value}`),
    lost: options.filter((each) => !isAllowedInVariable(each)),
  };
}

/** Node refuses to start with other options in NODE_OPTIONS. With --inspect, all workers would use the same port. */
function isAllowedInVariable(option: string): boolean {
  const [name = ''] = option.split(/[= ]/, 1);
  return process.allowedNodeEnvironmentFlags.has(name) && !name.startsWith('--inspect');
}

/** In one word: `--import=./trace.js`. */
function inVariable(option: string): string {
  const [name = '', value] = option.split(' ');
  const long = LONG_NAMES[name] ?? name;
  return value === undefined ? long : `${long}=${value}`;
}

/** The environment during development: NODE_ENV of a script that also starts production would hide errors. */
export function developmentLines(development: FoundProgram, program: FoundProgram): readonly string[] {
  const { lines } = scriptEnvironment(development);
  return development.reason === program.reason ? lines.filter((each) => !each.startsWith('NODE_ENV=')) : lines;
}
