/** Writes file.br and file.gz beside each file that shrinks. etc/docs.ini serves them: `precompressed = true`. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

/** The highest one takes a quarter of the whole build, which tests set lower. */
const quality = Number(process.env['DOCS_BROTLI_QUALITY'] ?? constants.BROTLI_MAX_QUALITY);

const SHRINKING = new Set(['.css', '.html', '.js', '.json', '.svg', '.xml']);

export async function compressFiles(directory: string): Promise<void> {
  const files = (await readdir(directory, { recursive: true })).filter((file) => SHRINKING.has(extname(file)));
  for (const file of files) {
    const path = join(directory, file);
    const content = await readFile(path);
    await Promise.all([
      promisify(brotliCompress)(content, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }).then((compressed) =>
        writeFile(`${path}.br`, compressed),
      ),
      promisify(gzip)(content, { level: 9 }).then((compressed) => writeFile(`${path}.gz`, compressed)),
    ]);
  }
}
