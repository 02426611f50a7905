/** Writes file.br and file.gz beside each file that shrinks. etc/docs.ini serves them: `precompressed = true`. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';

const SHRINKING = new Set(['.css', '.html', '.js', '.json', '.svg', '.xml']);

export async function compressFiles(directory: string): Promise<void> {
  const files = (await readdir(directory, { recursive: true })).filter((file) => SHRINKING.has(extname(file)));
  for (const file of files) {
    const path = join(directory, file);
    const content = await readFile(path);
    await Promise.all([
      promisify(brotliCompress)(content).then((compressed) => writeFile(`${path}.br`, compressed)),
      promisify(gzip)(content, { level: 9 }).then((compressed) => writeFile(`${path}.gz`, compressed)),
    ]);
  }
}
