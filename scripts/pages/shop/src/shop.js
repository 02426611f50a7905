import { setTimeout as sleep } from 'node:timers/promises';
import { total } from './cart.js';
import { report } from './report.js';

/** The application whose pages `npm run record` takes pictures of. */
export function makeShop(_globalConf, { currency }) {
  return async (req, res) => {
    const { pathname, searchParams } = new URL(req.url, 'http://localhost');
    if (pathname === '/cart') {
      const sum = total(searchParams.get('customer') ?? '');
      send(res, 200, { sum, currency });
    } else if (pathname === '/report') {
      send(res, 200, report());
    } else if (pathname === '/' || pathname === '/search') {
      await sleep(pathname === '/' ? 2 : 20 * Math.random());
      send(res, 200, { products: ['Tea', 'Coffee'] });
    } else if (pathname === '/checkout') {
      // In flight when the picture of the status page is taken.
      await sleep(20_000);
      send(res, 200, {});
    } else {
      send(res, 404, { error: 'Not Found' });
    }
  };
}

function send(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
