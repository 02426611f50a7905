/**
 * `npm:paster#test_slow` (`egg:Paste#test_slow`): reads an upload slowly and responds with its size, for testing how servers
 * and clients cope with a slow application.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { defineSettings, type SettingsOf } from '../config/settings/setting.ts';
import { bool, int, seconds } from '../config/settings/setting-types.ts';
import { errorCode } from '../errors.ts';
import { htmlPage } from '../http/html.ts';
import type { App, Settings } from '../protocol/types.ts';
import { timerMs } from '../timer.ts';

export const testSlowSettings = defineSettings(
  {
    chunk_size: { type: int({ min: 1, max: 1_048_576 }), default: 4096, help: 'Bytes that it reads at a time.' },
    delay: { type: seconds, default: 1, help: 'Seconds to wait after each chunk.' },
    progress: { type: bool, default: true, help: 'Report the progress on standard error.' },
  },
  { meaning: 'reads an upload slowly' },
);

/** Options of `slowUpload`. */
export interface SlowUploadOptions {
  /** Bytes to read at a time. Default: 4096. */
  readonly chunkSize?: number;
  /** Seconds to wait after each chunk. Default: 1. */
  readonly delay?: number;
  /** Print the progress on standard error. Default: true. */
  readonly progress?: boolean;
}

/**
 * An application that reads a body slowly and responds with its size, or with an upload form if the request has no body.
 *
 * @see `paste.debug.debugapp.SlowConsumer`
 */
export function slowUpload({ chunkSize = 4096, delay = 1, progress = true }: SlowUploadOptions = {}): App {
  return async (req, res) => {
    let size = 0;
    let waiting = 0;
    try {
      for await (const part of req) {
        for (waiting += (part as Buffer).length; waiting > 0; waiting -= Math.min(waiting, chunkSize)) {
          size += Math.min(waiting, chunkSize);
          if (progress) process.stderr.write(`${size} of ${req.headers['content-length'] ?? 'unknown'} bytes\n`);
          await sleep(timerMs(delay));
        }
      }
    } catch (error) {
      // The client has closed the connection, which is not an error of the application.
      if (errorCode(error) === 'ECONNRESET') return;
      throw error;
    }
    const hasBody = size > 0 || req.headers['content-length'] !== undefined;
    const page = htmlPage('test_slow', hasBody ? `<p>${size} bytes</p>` : UPLOAD_FORM);
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(page) });
    res.end(page);
  };
}

/** Makes the application of an `[app:*]` section. */
export function makeTestSlow(_globalConf: Settings, settings: SettingsOf<typeof testSlowSettings>): App {
  const { chunk_size: chunkSize, delay, progress } = settings;
  return slowUpload({ chunkSize, delay, progress });
}
makeTestSlow.settings = testSlowSettings;

const UPLOAD_FORM = `<form method="post" enctype="multipart/form-data">
<input type="file" name="file" aria-label="File"> <button>Upload</button>
</form>`;
