/** Which files of the repository are pages of the site, and what they are called there. */

/** All others are in docs/, and keep their paths. */
const PROJECT: Readonly<Record<string, string>> = {
  'README.md': 'introduction.md',
  'ARCHITECTURE.md': 'project/architecture.md',
  'CHANGELOG.md': 'project/changes.md',
  'CONTRIBUTING.md': 'project/contributing.md',
  'SECURITY.md': 'project/security-policy.md',
  'bench/README.md': 'project/benchmarks.md',
  'bench/results/results.md': 'project/benchmark-results.md',
};

/** Patterns for VitePress, relative to the repository: Markdown files that are no pages. */
export const EXCLUDED = [
  '{bin,dist,etc,scripts,src,templates,test,var}/**',
  '!(README|ARCHITECTURE|CHANGELOG|CONTRIBUTING|SECURITY).md',
];

/** The path of a page on the site; undefined for any other file. Both paths have no slash in front and end in ".md". */
export function sitePath(file: string): string | undefined {
  return PROJECT[file] ?? /^docs\/(.+\.md)$/.exec(file)?.[1];
}
