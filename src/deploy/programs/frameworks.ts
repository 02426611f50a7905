/** What paster knows about frameworks: the server that each one builds, its default port, and its development commands. */

export interface Framework {
  /** For people: `Next.js`. */
  readonly name: string;
  /** The package that a project of this framework depends on. */
  readonly dependency: string;
  /** The file to run after a build, or the framework's own program. Undefined: the project's own program runs. */
  readonly server?: string;
  /** Arguments of `server`. */
  readonly args?: readonly string[];
  /** What a build makes, if that is not `server`. */
  readonly output?: string;
  /** The port of `server` by default. */
  readonly port?: number;
}

/** The first one that a project depends on is its framework: those that contain others come first. */
const FRAMEWORKS: readonly Framework[] = [
  {
    name: 'Next.js',
    dependency: 'next',
    server: 'node_modules/next/dist/bin/next',
    args: ['start'],
    output: '.next/BUILD_ID',
    port: 3000,
  },
  { name: 'Nuxt', dependency: 'nuxt', server: '.output/server/index.mjs', port: 3000 },
  { name: 'Nitro', dependency: 'nitropack', server: '.output/server/index.mjs', port: 3000 },
  { name: 'SvelteKit', dependency: '@sveltejs/adapter-node', server: 'build/index.js', port: 3000 },
  { name: 'Astro', dependency: '@astrojs/node', server: 'dist/server/entry.mjs', port: 4321 },
  { name: 'AdonisJS', dependency: '@adonisjs/core', server: 'build/bin/server.js', port: 3333 },
  { name: 'NestJS', dependency: '@nestjs/core', server: 'dist/main.js', port: 3000 },
  { name: 'React Router', dependency: '@react-router/serve', port: 3000 },
  { name: 'Angular', dependency: '@angular/ssr', port: 4000 },
  { name: 'Strapi', dependency: '@strapi/strapi', port: 1337 },
  { name: 'LoopBack', dependency: '@loopback/core', port: 3000 },
  { name: 'Sails', dependency: 'sails', port: 1337 },
  { name: 'Feathers', dependency: '@feathersjs/feathers', port: 3030 },
  { name: 'Hapi', dependency: '@hapi/hapi' },
  { name: 'Fastify', dependency: 'fastify' },
  { name: 'Koa', dependency: 'koa' },
  { name: 'Hono', dependency: 'hono' },
  { name: 'Restify', dependency: 'restify' },
  { name: 'Polka', dependency: 'polka' },
  { name: 'h3', dependency: 'h3' },
  { name: 'Elysia', dependency: 'elysia' },
  { name: 'Express', dependency: 'express' },
  { name: 'Node-RED', dependency: 'node-red', port: 1880 },
  { name: 'Verdaccio', dependency: 'verdaccio', port: 4873 },
];

/** The framework of a project with these dependencies. */
export function frameworkOf(isUsed: (dependency: string) => boolean): Framework | undefined {
  return FRAMEWORKS.find(({ dependency }) => isUsed(dependency));
}

const DEVELOPMENT_COMMANDS: ReadonlySet<string> = new Set([
  'astro',
  'nest',
  'ng',
  'nuxi',
  'nuxt',
  'paster',
  'react-router',
  'react-scripts',
  'vite',
  'webpack',
]);

/**
 * Whether a command of package.json builds and serves during development. In production paster only serves `next` of these.
 * `paster` itself is no program to serve either.
 */
export function isDevelopmentCommand(command: string, args: readonly string[]): boolean {
  return DEVELOPMENT_COMMANDS.has(command) || (command === 'next' && !['dev', 'start'].includes(args[0] ?? 'dev'));
}

/**
 * The arguments with which a command serves its development server from the process that it runs in; undefined if it has none.
 * @param isUsed whether the project depends on a package
 */
export function developmentServerArgs(
  command: string,
  args: readonly string[],
  isUsed: (dependency: string) => boolean,
): readonly string[] | undefined {
  const [first = ''] = args;
  if (command === 'vite') {
    // Beside a server of the project's own, Vite only has the pages.
    return isUsed('@sveltejs/kit') && /^(?:$|-|dev$|serve$)/.test(first) ? args : undefined;
  }
  if (first !== 'dev') return undefined;
  if (command === 'nuxt' || command === 'nuxi') return args.includes('--no-fork') ? args : [...args, '--no-fork'];
  return command === 'react-router' || command === 'astro' ? args : undefined;
}

/** Whether a file serves from another process, which it starts again after each change: AdonisJS's `node ace serve`. */
export function isForkingScript(file: string, [command]: readonly string[]): boolean {
  return /^(?:\.\/)?ace(?:\.js)?$/.test(file) && command === 'serve';
}

const NEXT = /\/next\/dist\/bin\/next$/;
const DEVELOPMENT_SERVERS =
  /\/(?:nuxt\/bin\/nuxt|nuxi\/bin\/nuxi|@nuxt\/cli\/bin\/nuxi|@react-router\/dev\/bin|astro\/astro|vite\/bin\/vite)\.m?js$/;

/** Whether a program serves from a process that it forks: `next dev`. */
export function isForkingServer(file: string, [command = 'dev']: readonly string[]): boolean {
  return NEXT.test(file) && command === 'dev';
}

/** Whether a program is a framework's development server. A project can run only one at a time. */
export function isDevelopmentServer(file: string, args: readonly string[]): boolean {
  return isForkingServer(file, args) || DEVELOPMENT_SERVERS.test(file);
}
