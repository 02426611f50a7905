/**
 * Follows the pages as a reader would: writes every file that they show, types every command of a `console` block, and compares
 * the output with the block. The tutorial is one continuous walk.
 */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { toolDirectory } from '../../scripts/test-tools/tools.ts';
import {
  type Application,
  ASTRO,
  NEST,
  NEXT,
  NUXT,
  REACT_ROUTER,
  SOCKET_IO,
  SVELTEKIT,
  VERDACCIO,
} from '../applications/support/catalogue.ts';
import { install } from '../applications/support/install.ts';
import { PAGES } from '../helpers/documentation/documentation.ts';
import type { ProductProject } from '../helpers/documentation/reader.ts';
import { follow } from '../helpers/programs/follow.ts';
import { requireTool } from '../helpers/programs/program.ts';

/** The page of a framework is one continuous walk too: it has few servers, and they share a machine. */
const CONTINUOUS = /^docs\/(?:tutorial|frameworks\/[^/]+)\.md$/;

/** Pages with the project of a product, which `npm run test:tools` has installed and built. */
const OF_A_PRODUCT = new Map<string, Application>([
  ['docs/frameworks/astro.md', ASTRO],
  ['docs/frameworks/nestjs.md', NEST],
  ['docs/frameworks/nextjs.md', NEXT],
  ['docs/frameworks/nuxt.md', NUXT],
  ['docs/frameworks/others.md', VERDACCIO],
  ['docs/frameworks/react-router.md', REACT_ROUTER],
  ['docs/frameworks/socket-io.md', SOCKET_IO],
  ['docs/frameworks/sveltekit.md', SVELTEKIT],
]);

/** Pages that use files of an existing project. */
const OF_A_PROJECT = new Set(['docs/scaling.md', 'docs/secrets.md']);

/** Commands that no test can type, with the reason. apt-get and systemctl are typed: helpers/fresh-machine.ts replaces them. */
const NOT_TYPED: readonly (readonly [RegExp, string])[] = [
  [/^npm ci && npm (?:start|test|pack)\b/, 'installs what these tests run with, and would run them'],
  [/^curl -i https:\/\/shop\.example\.org\//, 'Caddy would have to get a certificate from the Internet'],
  [/^systemctl daemon-reload && /, 'takes systemd itself; test/integration/hosts/systemd.test.ts speaks its protocol'],
];

function isTyped(command: string): boolean {
  return !NOT_TYPED.some(([pattern]) => pattern.test(command));
}

/** The files are those of the page; `npm run test:tools` has installed the packages. */
function linkedPackages(product: string): (directory: string) => ProductProject {
  return (directory) => {
    symlinkSync(join(toolDirectory({ name: product }), 'node_modules'), join(directory, 'node_modules'));
    return { built: undefined, builtBelow: undefined };
  };
}

const WITH_PACKAGES = new Map([['docs/tracing.md', 'opentelemetry']]);

function installedProject(product: Application): (directory: string) => ProductProject {
  return (directory) => {
    install(product, directory);
    return { built: product.built, builtBelow: product.below?.built };
  };
}

describe('the instructions of the documentation', () => {
  for (const page of PAGES) {
    const product = OF_A_PRODUCT.get(page);
    const packages = WITH_PACKAGES.get(page);
    const needed = product?.product ?? packages;
    follow(page, {
      isContinuous: CONTINUOUS.test(page),
      isOfProject: OF_A_PROJECT.has(page),
      project:
        needed === undefined
          ? undefined
          : requireTool(needed) === undefined
            ? 'missing'
            : product
              ? installedProject(product)
              : linkedPackages(needed),
      isTyped,
    });
  }
});
