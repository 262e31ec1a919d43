import * as z from 'zod/mini';
import type { NetworkOptions } from '../feed/network.js';

const httpUrl = z.string().check(z.regex(/^https?:\/\/[^/]/, 'expected an http or https URL'));

/**
 * The settings file (`trees.yaml`). One schema gives the TypeScript type, the error messages and the published JSON
 * Schema (`trees.schema.json` beside this file, checked by a test).
 */
export const settingsFileSchema = z.strictObject({
  root: z
    .optional(z.string().check(z.minLength(1)))
    .check(z.describe('prefix of all state: DIR/var/lib/trees, DIR/run/trees, DIR/var/log/trees')),
  scope: z
    .optional(z.enum(['system', 'user']))
    .check(z.describe('system: /var/lib/trees, real owners and modes; user: the XDG data directory')),
  binDir: z
    .optional(z.string())
    .check(
      z.describe(
        'directory that gets the commands which apps declare; none: nowhere; default /usr/local/bin, ~/.local/bin',
      ),
    ),
  feed: z.optional(z.string()).check(z.describe('feed to use when several offer an app')),
  arch: z.optional(z.string()).check(z.describe('architecture to install for, as in uname -m')),
  color: z.optional(z.boolean()).check(z.describe('coloured output; default: only on a terminal')),
  verbosity: z.optional(z.enum(['quiet', 'normal', 'verbose'])).check(z.describe('how much is said on standard error')),
  lockTimeout: z
    .optional(z.number().check(z.minimum(0)))
    .check(z.describe('seconds to wait for another trees that holds the store; default 60')),
  network: z
    .optional(
      z.strictObject({
        ca: z
          .optional(z.string().check(z.minLength(1)))
          .check(z.describe('PEM file with certificates of authorities to trust besides the built-in ones')),
        timeout: z
          .optional(z.number().check(z.positive()))
          .check(z.describe('seconds until a server has to answer, and for which it may be silent; default 30')),
        retries: z
          .optional(z.int().check(z.nonnegative()))
          .check(z.describe('how often something that may pass is tried again; default 4')),
      }),
    )
    .check(z.describe('how the network is reached; proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY')),
  github: z
    .optional(
      z.strictObject({
        server: z.optional(httpUrl).check(z.describe('web address of GitHub Enterprise; default https://github.com')),
        api: z.optional(httpUrl).check(z.describe('address of its REST API; default: the one that belongs to server')),
        token: z
          .optional(z.string().check(z.minLength(1)))
          .check(z.describe('token for private repositories and for publishing; better in GITHUB_TOKEN')),
      }),
    )
    .check(z.describe('GitHub, for github: feeds')),
  build: z
    .optional(
      z.strictObject({
        definitions: z.optional(z.array(z.string())).check(z.describe('directories with image definitions')),
        mirror: z.optional(z.string()).check(z.describe('package mirror for bases, instead of the definition’s')),
      }),
    )
    .check(z.describe('how `trees build` works')),
  release: z
    .optional(
      z.strictObject({
        to: z.optional(z.string()).check(z.describe('feed to publish to: github:OWNER/REPO or dir:PATH')),
        key: z.optional(z.string()).check(z.describe('secret key file to sign with')),
        expiresDays: z
          .optional(z.int().check(z.positive()))
          .check(z.describe('days until a published index expires; default 90')),
        keep: z
          .optional(z.int().check(z.positive()))
          .check(z.describe('versions of each app and base that stay listed; older releases are deleted; default 5')),
      }),
    )
    .check(z.describe('how `trees release` works')),
});

export type SettingsFile = z.infer<typeof settingsFileSchema>;

/** Every setting with its value resolved. Built by `load.ts`; nothing else reads the environment for settings. */
export interface Settings {
  /** The state directory: `/var/lib/trees`, below the `root` setting if that is given. Absolute. */
  readonly root: string;
  /** Runtime state (pids, sockets): `/run/trees`, `$XDG_RUNTIME_DIR/trees`, below the `root` setting if that is given. */
  readonly runtimeDir: string;
  /** Logs: `/var/log/trees`, `$XDG_STATE_HOME/trees/log`, below the `root` setting if that is given. */
  readonly logDir: string;
  /** Where commands that apps declare go: `/usr/local/bin`, `~/.local/bin`, below the `root` setting; undefined: nowhere. */
  readonly binDir: string | undefined;
  readonly scope: 'system' | 'user';
  readonly feed: string | undefined;
  readonly arch: string;
  readonly color: boolean;
  readonly verbosity: 'quiet' | 'normal' | 'verbose';
  /** Seconds. */
  readonly lockTimeout: number;
  readonly network: NetworkOptions;
  readonly build: { readonly definitions: readonly string[]; readonly mirror: string | undefined };
  readonly release: {
    readonly to: string | undefined;
    readonly key: string | undefined;
    readonly expiresDays: number;
    readonly keep: number;
  };
  readonly json: boolean;
  readonly yes: boolean;
  readonly dryRun: boolean;
}
