/** How to make browsers and other clients trust the authority of `serve --https`. */
import { shellWord } from '../../deploy/background/command-line.ts';
import { printableLine } from '../../printable.ts';

/**
 * Lines for a person, shown when the authority is new.
 * @param authority the file with its certificate
 * @param platform the system whose commands are shown
 */
export function trustLines(authority: string, platform: NodeJS.Platform = process.platform): string[] {
  const file = shellWord(authority);
  const commands =
    platform === 'darwin'
      ? [`security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db ${file}`]
      : [
          `sudo cp ${file} /usr/local/share/ca-certificates/paster.crt && sudo update-ca-certificates`,
          `certutil -d sql:"$HOME/.pki/nssdb" -A -t C,, -n paster -i ${file}`,
        ];
  return [
    `--https: made a certificate authority for this machine: ${authority}`,
    'It can certify only local names and addresses. Until you trust it, browsers warn. To trust it, once:',
    ...commands.map((command) => `    ${command}`),
    'Firefox: Settings, Certificates, Authorities, Import. Node: NODE_EXTRA_CA_CERTS. curl: --cacert.',
  ].map(printableLine);
}
