/**
 * What a deployment needs besides the exported files: variables and files whose values must not be in a configuration. Each note
 * is a comment in the file and a warning of the command.
 */
import { isAbsolute, relative } from 'node:path';
import { plainPath } from '../../files/existing-path.ts';
import type { Deployment } from '../deployment.ts';
import { CONTAINER_HOME } from './serve-command.ts';

/** The file of variables that the systemd unit reads. */
export function unitVariablesFile({ name }: Deployment): string {
  return `/etc/${name}.env`;
}

/** The Secrets of a Kubernetes deployment: one with a key for each variable, and one with a key for each file. */
export function secretNames({ name }: Deployment): { readonly variables: string; readonly files: string } {
  return { variables: `${name}-env`, files: `${name}-env-files` };
}

/** A file with secrets inside the project. */
export interface SecretFile {
  readonly file: string;
  /** Relative to the project. */
  readonly path: string;
  /** Its key in a Secret, which allows few characters. */
  readonly key: string;
}

/** What a container is given: the files of `env_file` and the private keys that are in the project. */
export function mountedFiles(deployment: Deployment): SecretFile[] {
  return inProject(deployment.project, secretFiles(deployment));
}

/** These, and the files of `--dotenv` in the project: what must not get into an image. */
export function filesLeftOut(deployment: Deployment): SecretFile[] {
  return inProject(deployment.project, [...deployment.variables.optionFiles, ...secretFiles(deployment)]);
}

function secretFiles({ variables, privateKeys, others }: Deployment): string[] {
  return [...variables.settingFiles, ...privateKeys, ...others.flatMap((other) => other.privateKeys)];
}

function inProject(project: string, files: readonly string[]): SecretFile[] {
  return [...new Set(files)].flatMap((file) => {
    const path = relative(project, file);
    const isOutside = path.startsWith('..') || isAbsolute(path);
    return isOutside ? [] : [{ file, path, key: path.replace(/[^A-Za-z0-9._-]/g, '_') }];
  });
}

/** @param user the user of the service */
export function systemdNotes(deployment: Deployment, user: string): string[] {
  const { missing, settingFiles } = deployment.variables;
  return [
    ...(missing.length > 0
      ? [`create ${unitVariablesFile(deployment)} (mode 600) with a line NAME=value for each of: ${missing.join(', ')}`]
      : []),
    ...(settingFiles.length > 0
      ? [`the user ${user} must be able to read ${quoted(settingFiles.map(plainPath))}`]
      : []),
    ...unusualNotes(deployment),
  ];
}

export function dockerNotes(deployment: Deployment): string[] {
  const { names } = deployment.variables;
  return [
    ...(names.length > 0 ? [`give "docker run" an --env-file or -e NAME=value for each of: ${names.join(', ')}`] : []),
    ...mountedFiles(deployment).map(
      ({ path }) => `mount ${quoted([path])} at ${quoted([`${CONTAINER_HOME}/${path}`])}: the image does not have it`,
    ),
    ...outsideNotes(deployment),
    ...unusualNotes(deployment),
  ];
}

export function kubernetesNotes(deployment: Deployment): string[] {
  const { names } = deployment.variables;
  const secrets = secretNames(deployment);
  const files = mountedFiles(deployment).map(({ path, key }) => `${key} from ${quoted([path])}`);
  return [
    ...(names.length > 0 ? [`create the Secret ${secrets.variables} with the keys: ${names.join(', ')}`] : []),
    ...(files.length > 0 ? [`create the Secret ${secrets.files} with the keys: ${files.join(', ')}`] : []),
    ...outsideNotes(deployment),
    ...unusualNotes(deployment),
  ];
}

function outsideNotes(deployment: Deployment): string[] {
  const inside = new Set(mountedFiles(deployment).map(({ file }) => file));
  const outside = [...new Set(secretFiles(deployment))].filter((file) => !inside.has(file));
  return outside.map((file) => `provide ${quoted([file])}: it is outside the project, and the image does not have it`);
}

function unusualNotes({ variables }: Deployment): string[] {
  const { unusual } = variables;
  return unusual.length > 0 ? [`rename the variables ${quoted(unusual)}: a service cannot be given such names`] : [];
}

function quoted(texts: readonly string[]): string {
  return texts.map((text) => JSON.stringify(text)).join(', ');
}
