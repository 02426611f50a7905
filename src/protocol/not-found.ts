/** What is behind everything else: a plain 404. */
import type { App } from './types.ts';

export const notFound: App = (_req, res) => {
  res.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
  res.end('Not Found\n');
};
