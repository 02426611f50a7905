/** The QR code of `serve`'s network URL. */
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { paintFor, plain } from '../../src/diagnostics/paint.ts';
import { qrCode } from '../../src/serve/terminal/keys.ts';

const ADDRESS = 'http://192.168.1.5:8080';

interface Encoder {
  encode(text: string, options: object): { readonly data: boolean[][]; readonly size: number };
}

/** The modules of the QR code that lines of half blocks show. */
function modules(lines: readonly string[], isInverted: boolean): boolean[][] {
  return lines.flatMap((line) => {
    const cells = [...line.slice(2)];
    return ['█▀', '█▄'].map((drawn) => cells.map((cell) => drawn.includes(cell) !== isInverted));
  });
}

test('has the modules of the code, black on white with colours and light on dark without', () => {
  const { encode } = createRequire(import.meta.url)('uqr') as Encoder;
  const { data, size } = encode(ADDRESS, { border: 2 });
  const colours = paintFor({ isTTY: true }, { TERM: 'xterm' });
  const painted = qrCode(ADDRESS, colours).map((line) => line.replace('\x1b[30;107m', '').replace('\x1b[39;49m', ''));
  expect(modules(painted, false).slice(0, size)).toEqual(data);
  expect(modules(qrCode(ADDRESS, plain), true).slice(0, size)).toEqual(data);
  expect(qrCode(ADDRESS, colours)[0]).toMatch('\x1b[30;107m');
});
