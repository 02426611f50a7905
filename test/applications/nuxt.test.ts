import { NUXT } from './support/catalogue.ts';
import { testDevelopmentServer } from './support/development.ts';
import { testApplication } from './support/suite.ts';

testApplication(NUXT);

testDevelopmentServer(NUXT, {
  title: 'nuxt dev',
  manifest: { type: 'module', dependencies: { nuxt: '*' }, scripts: { dev: 'nuxt dev', build: 'nuxt build' } },
  socket: '/_nuxt/',
  viteClient: '/_nuxt/@vite/client',
  edited: 'app/app.vue',
  text: 'Hello',
});
