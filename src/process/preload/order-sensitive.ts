/** Packages that are known to depend on what runs before them, or to change what runs after them. */

/**
 * What such a package means for the others: `alone`, only it is loaded at its own time; `after`, it and all packages
 * that are evaluated after it.
 */
export type Sensitivity = 'alone' | 'after';

const AFTER = [
  // They wrap other modules while these are loaded.
  /^@opentelemetry\/(?!api$|semantic-conventions$)/,
  /^(?:dd-trace|newrelic|elastic-apm-node|applicationinsights|appdynamics|@splunk\/otel|@instana\/collector)$/,
  /^(?:require-in-the-middle|import-in-the-middle|pirates|proxyquire|mockery|rewire|esmock)$/,
  /^@sentry\/(?:node|nestjs|profiling-node|bun|node-core)$/,
  // They change how modules are found or compiled.
  /^(?:module-alias|app-module-path|tsconfig-paths|ts-node|tsx|esm|source-map-support|@swc-node\/register|esbuild-register)$/,
  /^@babel\/register$/,
];

/** They read the environment and files of the project when they are imported, and set variables. */
const READS_SETTINGS =
  /^(?:dotenv|dotenv-expand|dotenv-flow|dotenv-safe|dotenv-vault|@dotenvx\/dotenvx|env-cmd|config|rc|node-config-ts)$/;

const ALONE = [
  READS_SETTINGS,
  // They look at the module that requires them.
  /^(?:app-root-path|require-main-filename|parent-module|caller|callsites)$/,
];

/** @param isFirst no code of the application runs before it, and the configuration has been read */
export function knownSensitivity(packageName: string, isFirst: boolean): Sensitivity | undefined {
  if (isFirst && READS_SETTINGS.test(packageName)) return undefined;
  if (AFTER.some((pattern) => pattern.test(packageName))) return 'after';
  if (ALONE.some((pattern) => pattern.test(packageName))) return 'alone';
  return undefined;
}
