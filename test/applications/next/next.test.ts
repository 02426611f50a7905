import { NEXT } from '../support/catalogue.ts';
import { testDevelopmentServer } from '../support/development.ts';
import { testApplication } from '../support/suite.ts';

testApplication(NEXT);

testDevelopmentServer(NEXT, {
  title: 'next dev',
  manifest: { dependencies: { next: '*' }, scripts: { dev: 'next dev --webpack -p 3000', start: 'next start' } },
  socket: '/_next/hmr?id=test',
  edited: 'pages/index.js',
  text: 'asked for',
});
