/** `paster export kubernetes`, validated by the schemas of Kubernetes and by kubectl. */
import { readFileSync } from 'node:fs';
import { Deployment } from 'kubernetes-models/apps/v1';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { ConfigMap, Service } from 'kubernetes-models/v1';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { writeFiles } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { Program, paster, requireProgram } from '../../helpers/programs/program.ts';
import { exported, FASTCGI, HTTP, ini, project, refused } from '../site.ts';

const MODELS = { ConfigMap, Deployment, Service, Ingress, HorizontalPodAutoscaler, PodDisruptionBudget };

describe('kubernetes', () => {
  test.each([
    ['FastCGI', FASTCGI],
    ['HTTP', HTTP],
  ])('every object is valid by the published schemas: %s', async (_what, server) => {
    const directory = project(server);
    const text = await exported('kubernetes', ini(directory), '--server-name', 'shop.example.org', '--health', '/up');
    const objects = parseAllDocuments(text).map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS();
    });
    expect(objects.map(({ kind }) => kind).sort()).toEqual(Object.keys(MODELS).sort());
    for (const object of objects) {
      const Model = Object.entries(MODELS).find(([kind]) => kind === object.kind)?.[1];
      expect(() => Model && new Model(object).validate()).not.toThrow();
    }
    const [config] = objects;
    expect(config.data['config.ini']).toBe(readFileSync(ini(directory), 'utf8'));
    const pod = objects.find(({ kind }) => kind === 'Deployment').spec.template.spec;
    // preStop, graceful_timeout and a margin.
    expect(pod.terminationGracePeriodSeconds).toBe(5 + 20 + 5);
    expect(pod.containers[0].readinessProbe.httpGet).toMatchObject({ path: '/up', port: 'http' });
    expect(pod.containers[0].volumeMounts[0].mountPath).toBe('/app/etc/config.ini');
  });

  /** The resources of the pod, and the warnings about them. */
  const resourcesOf = async (server: string, ...options: string[]) => {
    const directory = project(`use = npm:paster#http\nport = 8085\n${server}`);
    const { stdout, stderr } = await runHere(['export', 'kubernetes', ini(directory), ...options]);
    const [, deployment] = parseAllDocuments(stdout);
    return { ...deployment?.toJS().spec.template.spec.containers[0].resources, stderr };
  };

  test.each([
    ['one process', '', [], ['1', '512Mi'], ['250m', '256Mi']],
    ['four workers', 'workers = 4', [], ['4', '1280Mi'], ['1', '640Mi']],
    ['a range', 'workers = 1-8\nmaxChildren = 4', [], ['4', '1280Mi'], ['1', '640Mi']],
    ['max_memory', 'workers = 2\nmax_memory = 300', [], ['2', '1024Mi'], ['500m', '512Mi']],
    ['auto', 'workers = auto', [], ['1', '512Mi'], ['250m', '256Mi']],
    ['auto, by the limit', 'workers = auto', ['--cpu', '1500m'], ['1500m', '768Mi'], ['375m', '384Mi']],
    [
      'the values of the command line',
      'workers = auto',
      ['--cpu', '4', '--memory', '2Gi'],
      ['4', '2048Mi'],
      ['1', '1024Mi'],
    ],
  ])('workers, requests and limits match: %s', async (_what, server, options, limits, requests) => {
    expect(await resourcesOf(server, ...options)).toEqual({
      limits: { cpu: limits[0], memory: limits[1] },
      requests: { cpu: requests[0], memory: requests[1] },
      stderr: '',
    });
  });

  test.each([
    ['workers = 4', ['--cpu', '1.5'], /^paster: 4 workers share 1\.5 CPUs: write workers = auto .* or --cpu 4$/m],
    ['workers = 2', ['--cpu', '4'], /^paster: 2 workers use 2 of 4 CPUs: write workers = auto/m],
    ['', ['--cpu', '2'], /^paster: a server without workers uses 1 of 2 CPUs: write workers = auto/m],
    [
      'workers = 2\nmax_memory = 400',
      ['--memory', '1Gi'],
      /^paster: max_memory = 400 .* exceeds 1024 MiB: .* --memory 1280Mi$/m,
    ],
    [
      'workers = auto',
      ['--cpu', '8', '--memory', '512Mi'],
      /^paster: 512 MiB may be too little for 8 workers: write --memory 2304Mi$/m,
    ],
  ])('warns if they do not match: %s', async (server, options, warning) => {
    expect((await resourcesOf(server, ...options)).stderr).toMatch(warning);
  });

  test('refuses invalid limits', async () => {
    expect(await refused('kubernetes', ini(project(HTTP)), '--cpu', 'two')).toContain('allowed: 1.5, 500m');
    expect(await refused('kubernetes', ini(project(HTTP)), '--memory', '512')).toContain('allowed: 512Mi, 1.5Gi');
    expect(await refused('docker', ini(project(HTTP)), '--cpu', '1')).toContain('does not apply to docker');
  });

  test.each([
    ['below a prefix', '[composite:checked]\nuse = egg:Paste#urlmap\n/ops/health = health\n/ = main\n'],
    [
      'by its own paths',
      '[composite:checked]\nuse = npm:paster#urlmap\n/healthz = health\n/readyz = health\n/ = main\n',
    ],
    ['without a URL map', '[app:checked]\nuse = npm:paster#health\n'],
  ])('probes request the readiness of the health application in the URL map: %s', async (_what, sections) => {
    const directory = project(HTTP, `${sections}\n[app:health]\nuse = npm:paster#health\n`);
    const [, deployment] = parseAllDocuments(await exported('kubernetes', ini(directory), '-n', 'checked'));
    const [container] = deployment?.toJS().spec.template.spec.containers ?? [];
    const { path } = container.readinessProbe.httpGet;
    expect(path).toMatch(/\/readyz$/);
    expect(container.command).toContain('checked');
    expect(await exported('docker', ini(directory), '-n', 'checked')).toContain(path);
    const asked = await paster(['request', '-n', 'checked', ini(directory), path]).finished();
    expect(asked).toMatchObject({ stdout: expect.stringContaining('"ok"') });
  });

  test.skipIf(requireProgram('kubectl') === undefined)('kubectl accepts the objects, without a cluster', async () => {
    const directory = project(HTTP);
    const text = await exported('kubernetes', ini(directory), '--server-name', 'shop.example.org');
    const workload = text.split(/^---$/m).find((object) => /^kind: Deployment$/m.test(object)) ?? '';
    writeFiles(directory, {
      'all.yaml': text,
      'workload.yaml': workload,
      'broken.yaml': workload.replace(/containerPort: \d+/, 'containerPort: http'),
    });
    const kubectl = async (...args: string[]): Promise<{ status: number | null; stdout: string }> => {
      const env = { KUBECONFIG: '/dev/null', HOME: directory };
      return new Program('kubectl', [...args, '--local', '-o', 'name'], { cwd: directory, env }).finished();
    };
    const names = (await kubectl('label', '-f', 'all.yaml', 'a=b')).stdout.trim().split('\n');
    expect(names).toHaveLength(Object.keys(MODELS).length);
    const setImage = (file: string) => kubectl('set', 'image', '-f', file, '*=registry.example.org/shop:2');
    expect(await setImage('workload.yaml')).toMatchObject({ status: 0, stdout: 'deployment.apps/shop\n' });
    expect(await setImage('broken.yaml')).toMatchObject({ status: 1 });
  });

  test('the schemas reject invalid objects', () => {
    expect(() => new Service({ spec: { ports: [{ port: 'http' as unknown as number }] } }).validate()).toThrow();
  });

  test('an INI file with characters that are special in YAML is unchanged', async () => {
    const odd = '# --- \n[x]\n  a: b\n\tc = "\n\n[y]\nk = ü  ☃\n- item: &a *b !!c\n';
    const directory = project(HTTP, odd);
    const [config] = parseAllDocuments(await exported('kubernetes', ini(directory)));
    expect(config?.toJS().data['config.ini']).toBe(readFileSync(ini(directory), 'utf8'));
  });
});
