/** The documentation site: the Markdown of this repository. `npm run docs:dev` shows it, `npm run docs:build` writes it. */
import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';
import { compressFiles } from './compress.ts';
import { extendMarkdown, slugify } from './markdown.ts';
import { NAV, SIDEBAR } from './navigation.ts';
import { EXCLUDED, sitePath } from './pages.ts';
import { SEARCH } from './search.ts';

const { version, repository } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
  repository?: { url: string };
};
const DESCRIPTION = 'Run any Node app from one INI file: the app, its middleware and its server.';
/** Without `repository` in package.json no page has an edit link. */
const repositoryUrl = repository?.url.replace(/^git\+|\.git$/g, '');

export default defineConfig({
  title: 'paster',
  description: DESCRIPTION,
  lang: 'en',
  srcDir: '..',
  srcExclude: EXCLUDED,
  rewrites: (file) => sitePath(file) ?? file,
  // Any static server can serve these URLs.
  cleanUrls: false,
  markdown: {
    anchor: { slugify },
    config: extendMarkdown(repositoryUrl),
    languageAlias: { lighttpd: 'perl' },
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
  },
  themeConfig: {
    nav: [...NAV, { text: version, link: '/project/changes' }],
    sidebar: SIDEBAR,
    outline: [2, 3],
    search: { provider: 'local', options: SEARCH },
    ...(repositoryUrl && { editLink: { pattern: `${repositoryUrl}/edit/main/:path`, text: 'Edit this page' } }),
  },
  buildEnd: ({ outDir }) => compressFiles(outDir),
  // Every file of the repository is below the root that Vite watches.
  vite: { server: { watch: { ignored: ['**/{dist,test,var}/**'] } } },
});
