/** Answers with an error as the client reads it: as a page, as JSON or as text. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { escapeHtml, htmlPage } from './html.ts';
import { preferredType } from './preferred-type.ts';

export interface ErrorAnswer {
  readonly status: number;
  /** What has happened, in a few words. */
  readonly title: string;
  /** What is to be said besides. */
  readonly message?: string | undefined;
  /** What the log calls it. */
  readonly id?: string | undefined;
  readonly headers?: OutgoingHttpHeaders | undefined;
  /** More for JSON, more lines for text, and a page in place of the plain one. */
  readonly more?: { readonly json: object; readonly text: string; readonly page: () => Promise<string> | string };
}

const TYPES = ['text/html', 'application/json', 'text/plain'] as const;

/** The head has to be unsent. */
export async function answerError(req: IncomingMessage, res: ServerResponse, answer: ErrorAnswer): Promise<void> {
  const type = preferredType(req.headers.accept, TYPES);
  const body = await RENDERINGS[type](answer);
  // The client may have left, or somebody answered, while the page was drawn.
  if (res.headersSent || res.destroyed) return;
  res.writeHead(answer.status, {
    ...answer.headers,
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    vary: 'Accept',
  });
  res.end(body);
}

const RENDERINGS = {
  'text/html': ({ title, message, id, more }: ErrorAnswer) =>
    more?.page() ??
    htmlPage(
      title,
      `<h1>${escapeHtml(title)}</h1>
${message ? `<p>${escapeHtml(message)}</p>` : ''}
${id ? `<p class="soft">If you report this, please add: <code>${escapeHtml(id)}</code></p>` : ''}`,
    ),
  'application/json': ({ status, title, message, id, more }: ErrorAnswer) =>
    `${JSON.stringify({ status, error: title, message, id, ...more?.json })}\n`,
  'text/plain': ({ title, message, id, more }: ErrorAnswer) =>
    [title, message, id && `id: ${id}`, more?.text]
      .filter((line) => line)
      .join('\n')
      .concat('\n'),
};
