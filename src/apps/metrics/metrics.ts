/** `npm:paster#metrics`: what the server has counted, all its workers together, for Prometheus. */
import type { IncomingMessage } from 'node:http';
import { defineSettings, type SettingsOf } from '../../config/setting.ts';
import { networks } from '../../gateway/peers.ts';
import { answerPlain } from '../../http/plain-answer.ts';
import { meter } from '../../metrics/meter.ts';
import type { ServerStatus } from '../../metrics/server-status.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { allowedClients } from '../allowed-clients.ts';
import { answerReport } from '../report-answer.ts';

export const metricsSettings = defineSettings(
  {
    allow: {
      type: networks,
      default: [],
      help: 'Clients that may read them, by address or CIDR block. Left out: all that can get here.',
      example: '127.0.0.1 10.1.0.0/16',
    },
  },
  { meaning: 'what the server has counted, for Prometheus' },
);

/** Makes the application of an `[app:*]` section. */
export function makeMetrics(_globalConf: Settings, { allow }: SettingsOf<typeof metricsSettings>): App {
  const current = meter();
  current.isCounting = true;
  const isAllowed: (req: IncomingMessage) => boolean = allow.length === 0 ? () => true : allowedClients(allow);
  return async (req, res) => {
    if (!isAllowed(req)) return answerPlain(res, 403, { 'cache-control': 'no-store' });
    if (req.method !== 'GET' && req.method !== 'HEAD') return answerPlain(res, 405, { allow: 'GET, HEAD' });
    let status: ServerStatus;
    try {
      status = await current.ask();
    } catch {
      // Numbers of this worker alone would be a step back, which is nothing that a counter may do.
      return answerPlain(res, 503, { 'cache-control': 'no-store' }, 'The supervisor does not answer');
    }
    const { prometheusText } = await import('./prometheus.ts');
    const { text, type } = await prometheusText(status);
    answerReport(res, type, text);
  };
}
makeMetrics.settings = metricsSettings;
