/**
 * The application: a factory that the INI files name, called once with the settings of the section.
 *
 * @param {Record<string, string>} globalConf [DEFAULT] of the INI file, and what the command line added
 * @param {Record<string, string>} localConf the settings of the [app:main] section
 * @returns {import('node:http').RequestListener}
 */
export function makeApp(globalConf, localConf) {
  const { greeting = 'Hello' } = localConf;
  return (req, res) => {
    const { pathname } = new URL(req.url ?? '/', 'http://localhost');
    if (pathname !== '/') {
      res.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
      res.end('Not Found\n');
      return;
    }
    res.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    res.end(`${greeting}\n`);
  };
}
