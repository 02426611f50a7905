/**
 * The real products that test/applications/ runs under paster, each with the program in test/fixtures/products/ and in a
 * directory of its own in the cache. Every version is exact, so that a test fails only if something has changed here.
 */
import type { Tool } from './tools.ts';

export interface Product extends Tool {
  readonly version: string;
  /** Versions of its dependencies, in the form of `overrides` in package.json. */
  readonly overrides?: Readonly<Record<string, string>>;
  /** Builds the program where it is installed: arguments of `node`. */
  readonly build?: readonly string[];
  /** Builds it a second time, with this prefix in BASE_PATH: for frameworks whose build contains it. */
  readonly basePath?: string;
}

interface Options {
  /** The file to look for. Default: package.json of the first package. */
  readonly built?: string;
  readonly build?: readonly string[];
  readonly basePath?: string;
  readonly overrides?: Readonly<Record<string, string>>;
}

/** @param specifiers the first is the product. */
function product(name: string, specifiers: readonly string[], { built, ...rest }: Options = {}): Product {
  const [first = ''] = specifiers;
  const at = first.lastIndexOf('@');
  return {
    name,
    specifiers,
    version: first.slice(at + 1),
    file: built ?? `node_modules/${first.slice(0, at)}/package.json`,
    ...rest,
  };
}

/** From the smallest to the largest. All run on the oldest Node that package.json promises. */
export const PRODUCTS: readonly Product[] = [
  product('express', ['express@5.3.0', 'express-session@1.19.0', 'ejs@3.1.10', 'ws@8.23.0']),
  product('opentelemetry', [
    '@opentelemetry/auto-instrumentations-node@0.81.2',
    '@opentelemetry/api@1.9.1',
    'express@5.3.0',
  ]),
  product('hapi', ['@hapi/hapi@21.4.10', '@hapi/yar@11.0.3']),
  product('adonis', ['@adonisjs/core@6.21.0']),
  product('socket.io', [
    'socket.io@4.8.4',
    'express@5.3.0',
    'socket.io-client@4.8.4',
    '@socket.io/redis-adapter@8.3.0',
    'redis@6.3.1',
  ]),
  product('nest', [
    '@nestjs/core@11.2.10',
    '@nestjs/common@11.2.10',
    '@nestjs/platform-express@11.2.10',
    '@nestjs/platform-fastify@11.2.8',
    'reflect-metadata@0.2.2',
    'rxjs@7.8.2',
  ]),
  // It asks for the tag `cjs` of node-fetch, which not every registry has.
  product('verdaccio', ['verdaccio@6.5.0'], { overrides: { 'node-fetch': '2.7.0' } }),
  // The last that runs on Node 20.
  product('node-red', ['node-red@4.1.8']),
  product(
    'sveltekit',
    [
      '@sveltejs/kit@2.70.4',
      '@sveltejs/adapter-node@5.5.7',
      '@sveltejs/vite-plugin-svelte@6.2.4',
      'svelte@5.57.3',
      'vite@7.3.8',
    ],
    { built: 'build/index.js', build: ['node_modules/vite/bin/vite.js', 'build'], basePath: '/shop' },
  ),
  product('astro', ['astro@5.18.2', '@astrojs/node@9.5.5'], {
    built: 'dist/server/entry.mjs',
    build: ['node_modules/astro/astro.js', 'build'],
    basePath: '/shop',
  }),
  product(
    'react-router',
    [
      'react-router@7.18.4',
      '@react-router/dev@7.18.4',
      '@react-router/node@7.18.4',
      '@react-router/serve@7.18.4',
      'isbot@5.2.3',
      'react@19.3.1',
      'react-dom@19.3.1',
      'vite@7.3.8',
    ],
    {
      built: 'build/server/index.js',
      build: ['node_modules/@react-router/dev/bin.js', 'build'],
      basePath: '/shop',
    },
  ),
  product('nuxt', ['nuxt@4.3.1'], {
    built: '.output/server/index.mjs',
    build: ['node_modules/nuxt/bin/nuxt.mjs', 'build'],
  }),
  product('next', ['next@16.4.6', 'react@19.3.1', 'react-dom@19.3.1'], {
    built: '.next/BUILD_ID',
    build: ['node_modules/next/dist/bin/next', 'build'],
    basePath: '/shop',
  }),
];
