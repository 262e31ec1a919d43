/** A real HTTP server that behaves as GitHub does, for tests. */
export type { Fault } from './fake-github/faults.js';
export { seedRelease } from './fake-github/seed.js';
export {
  createFakeGithub,
  type FakeGithub,
  type FakeGithubOptions,
  type RepositoryOptions,
} from './fake-github/server.js';
export type { Asset, Release, Repository } from './fake-github/world.js';
