import { join } from 'node:path';

/** Where things are below a store's root (DESIGN section 5). Pure: computes names, touches nothing. */
export interface StorePaths {
  readonly root: string;
  readonly repo: string;
  readonly apps: string;
  readonly data: string;
  readonly feeds: string;
  readonly downloads: string;
  readonly locks: string;
  app(name: string): string;
  current(name: string): string;
  generation(name: string, number: number): string;
  rootfs(name: string, number: number): string;
}

export function storePaths(root: string): StorePaths {
  const apps = join(root, 'apps');
  return {
    root,
    repo: join(root, 'repo'),
    apps,
    data: join(root, 'data'),
    feeds: join(root, 'feeds'),
    downloads: join(root, 'downloads'),
    locks: join(root, 'locks'),
    app: (name) => join(apps, name),
    current: (name) => join(apps, name, 'current'),
    generation: (name, number) => join(apps, name, String(number)),
    rootfs: (name, number) => join(apps, name, String(number), 'rootfs'),
  };
}
