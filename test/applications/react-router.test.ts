import { REACT_ROUTER } from './support/catalogue.ts';
import { testDevelopmentServer } from './support/development.ts';
import { testApplication } from './support/suite.ts';

testApplication(REACT_ROUTER);

const DEPENDENCIES = { '@react-router/node': '*', isbot: '*' };
const HOT_RELOAD = {
  socket: '/',
  viteClient: '/@vite/client',
  module: '/app/routes/home.jsx',
  edited: 'app/routes/home.jsx',
  text: 'Hello',
};

testDevelopmentServer(REACT_ROUTER, {
  title: 'react-router dev',
  manifest: {
    type: 'module',
    dependencies: { ...DEPENDENCIES, '@react-router/serve': '*', '@react-router/dev': '*' },
    scripts: { dev: 'react-router dev', start: 'react-router-serve ./build/server/index.js' },
  },
  ...HOT_RELOAD,
});

/** As in the documentation of React Router and of Vite. */
testDevelopmentServer(REACT_ROUTER, {
  title: 'Vite in middleware mode in an Express server of React Router',
  manifest: {
    type: 'module',
    dependencies: { ...DEPENDENCIES, '@react-router/express': '*', express: '*' },
    scripts: { dev: 'cross-env NODE_ENV=development node server.js', start: 'node server.js' },
  },
  files: {
    'server.js': `import compression from 'compression';
import express from 'express';

const app = express();
app.use(compression());
if (process.env.NODE_ENV === 'development') {
  const { createServer } = await import('vite');
  const vite = await createServer({ server: { middlewareMode: true } });
  app.use(vite.middlewares);
  app.use(async (req, res, next) => {
    try {
      const source = await vite.ssrLoadModule('./server/app.js');
      return await source.app(req, res, next);
    } catch (error) {
      next(error);
    }
  });
}
app.listen(3000);
`,
    'server/app.js': `import { createRequestHandler } from '@react-router/express';
import express from 'express';

export const app = express();
app.use(createRequestHandler({ build: () => import('virtual:react-router/server-build') }));
`,
  },
  ...HOT_RELOAD,
});
