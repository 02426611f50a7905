/** `npm:paster#metrics`: what the server has counted, all its workers together, for Prometheus. */
import { defineSettings, type SettingsOf } from '../../config/setting.ts';
import { networks } from '../../gateway/peers.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { allowedClients } from '../allowed-clients.ts';
import { answerReport, serverReport } from '../server-report.ts';

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
  const isAllowed = allow.length === 0 ? () => true : allowedClients(allow);
  return serverReport(isAllowed, async (_req, res, status) => {
    const { prometheusText } = await import('./prometheus.ts');
    const { text, type } = await prometheusText(status);
    answerReport(res, type, text);
  });
}
makeMetrics.settings = metricsSettings;
