import { join } from 'node:path';
import * as z from 'zod/mini';
import { runSpecSchema } from '../trees/run/spec.js';

/**
 * An image definition: how a base or an app is made. One schema gives the TypeScript types, the error messages and the
 * published JSON Schema (`definition.schema.json` beside this file, checked by a test).
 */

export const builderNames = ['mmdebstrap', 'apk', 'busybox', 'dir', 'tar'] as const;
export type BuilderName = (typeof builderNames)[number];

const name = z
  .string()
  .check(z.regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'expected a name of lowercase letters, digits, ".", "_" and "-"'));
const text = z.string().check(z.minLength(1, 'expected a string that is not empty'));
const absolutePath = z.string().check(
  z.regex(/^\/[^\0\n]*$/, 'expected an absolute path'),
  z.refine((path) => !path.split('/').includes('..'), 'expected a path without ".."'),
);
const hostPath = text.check(z.regex(/^[^\0\n]+$/, 'expected a path'));
const mode = z.string().check(z.regex(/^[0-7]{3,4}$/, 'expected octal digits in quotes, such as "0755"'));
const owner = z
  .string()
  .check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$/, 'expected USER or USER:GROUP'));
const packageName = z
  .string()
  .check(z.regex(/^[a-z0-9][a-z0-9+._-]*$/, 'expected a package name (versions are chosen by the suite)'));
const url = z.string().check(z.regex(/^(https?|file):\/\/\S+$/, 'expected an http, https or file URL'));
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/, 'expected 64 lowercase hexadecimal digits'));
const glob = absolutePath.check(z.describe('path; "*" matches anything, "/" included'));

const sourceSchema = z.strictObject({
  uri: url.check(z.describe('archive; --mirror and settings.build.mirror replace the one of the first source')),
  suites: z.array(text).check(z.minLength(1)),
  components: z.array(text).check(z.minLength(1)),
  keyring: absolutePath.check(z.describe('file on the building machine with the keys that may sign the archive')),
});

const fileSchema = z
  .strictObject({
    path: absolutePath,
    content: z.optional(z.string()).check(z.describe('text of the file')),
    source: z.optional(hostPath).check(z.describe('file to copy, relative to the definition')),
    symlink: z.optional(text).check(z.describe('make a symbolic link to this')),
    directory: z.optional(z.literal(true)).check(z.describe('make a directory')),
    remove: z.optional(z.literal(true)).check(z.describe('delete whatever is there')),
    mode: z.optional(mode).check(z.describe('default "0644", directories "0755"')),
    owner: z.optional(owner).check(z.describe('USER[:GROUP], as the image knows them; default root:root')),
  })
  .check(
    z.refine(
      (file) => ['content', 'source', 'symlink', 'directory', 'remove'].filter((key) => key in file).length === 1,
      'expected exactly one of content, source, symlink, directory and remove',
    ),
  );

const stepSchema = z.strictObject({
  name: z.optional(text).check(z.describe('for messages; default its number')),
  run: text.check(z.describe('shell script, run with sh -eu as root inside the image')),
  network: z.optional(z.boolean()).check(z.describe('with the network of this machine; default false')),
  env: z.optional(z.record(z.string().check(z.regex(/^[A-Za-z_][A-Za-z0-9_]*$/)), z.string())),
});

/** Where files come from that are in no package: a directory or an archive. */
const payload = {
  source: z
    .optional(hostPath)
    .check(z.describe('dir, tar: directory or archive, relative to the definition, or a URL')),
  sha256: z.optional(sha256).check(z.describe('tar: of the archive')),
  sha256From: z.optional(url).check(z.describe('tar: document that lists the digest, as sha256sum prints it')),
  strip: z.optional(z.int().check(z.nonnegative())).check(z.describe('tar: leading path components to remove')),
  into: z.optional(absolutePath).check(z.describe('dir, tar: where it goes in the image; default /')),
  owners: z
    .optional(z.enum(['keep', 'root']))
    .check(z.describe('dir, tar: keep owners and modes, or root with 0755 and 0644; default keep for bases')),
};

/** What bases and apps have in common. */
const shared = {
  packages: z.optional(z.array(packageName)).check(z.describe('installed with everything they depend on')),
  files: z.optional(z.array(fileSchema)).check(z.describe('put in place after packages')),
  steps: z.optional(z.array(stepSchema)).check(z.describe('run after files, in order')),
  exclude: z.optional(z.array(glob)).check(z.describe('never part of the image; packages honour it too')),
  keep: z.optional(z.array(glob)).check(z.describe('exceptions to exclude')),
};

const builder = z.enum(builderNames);

const baseBuildSchema = z
  .strictObject({
    builder: z
      .union([builder, z.array(builder).check(z.minLength(1))])
      .check(z.describe('how the root file system is made; of several, the first that this machine can do')),
    suite: z.optional(text).check(z.describe('mmdebstrap: distribution release; apk: branch such as v3.20')),
    variant: z.optional(z.enum(['essential', 'apt', 'minbase'])).check(z.describe('mmdebstrap: default essential')),
    sources: z.optional(z.array(sourceSchema).check(z.minLength(1))).check(z.describe('mmdebstrap: package archives')),
    mirror: z.optional(url).check(z.describe('apk: where branches are found')),
    keys: z.optional(absolutePath).check(z.describe('apk: directory on the building machine with trusted keys')),
    ...payload,
    ...shared,
  })
  .check(
    z.refine(
      (build) => need(build, 'mmdebstrap', ['suite', 'sources']),
      'expected suite and sources (builder mmdebstrap needs them)',
    ),
  )
  .check(
    z.refine(
      (build) => need(build, 'apk', ['suite', 'mirror', 'keys']),
      'expected suite, mirror and keys (builder apk needs them)',
    ),
  )
  .check(
    z.refine(
      (build) => build.packages === undefined || uses(build, 'mmdebstrap') || uses(build, 'apk'),
      'expected no packages (only the builders mmdebstrap and apk install any)',
    ),
  )
  .check(z.refine((build) => need(build, 'dir', ['source']), 'expected source (builder dir needs it)'))
  .check(z.refine((build) => need(build, 'tar', ['source']), 'expected source (builder tar needs it)'));

const appBuildSchema = z
  .strictObject({
    builder: z.optional(z.enum(['dir', 'tar'])).check(z.describe('adds files from a directory or an archive')),
    sources: z.optional(z.array(sourceSchema)).check(z.describe('package archives besides the base’s')),
    ...payload,
    ...shared,
  })
  .check(
    z.refine((build) => (build.builder === undefined) === (build.source === undefined), {
      error: 'expected builder and source together, or neither',
    }),
  );

function uses(build: { builder: BuilderName | BuilderName[] }, name: BuilderName): boolean {
  return [build.builder].flat().includes(name);
}

function need(build: { builder: BuilderName | BuilderName[] }, name: BuilderName, keys: string[]): boolean {
  return !uses(build, name) || keys.every((key) => key in build);
}

const versionSchema = z
  .union(
    [
      z.strictObject({ package: packageName.check(z.describe('that of an installed package')) }),
      z.strictObject({
        file: absolutePath.check(z.describe('first version number in a file of the image')),
        pattern: z.optional(text).check(z.describe('regular expression; its first group is the version')),
      }),
      z.strictObject({
        fixed: z.string().check(z.regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, 'expected a semantic version X.Y.Z')),
      }),
    ],
    'expected one of {package: NAME}, {file: PATH} and {fixed: X.Y.Z}',
  )
  .check(z.describe('where the version comes from; see images/version.ts for how it is made a semantic version'));

const common = {
  name: name,
  summary: text.check(z.maxLength(200)),
  homepage: z.optional(z.string()),
  version: versionSchema,
};

const baseDefinitionSchema = z.strictObject({
  kind: z.literal('base'),
  ...common,
  build: baseBuildSchema,
});

const appDefinitionSchema = z.strictObject({
  kind: z.literal('app'),
  ...common,
  from: z.strictObject({
    base: name,
    range: text.check(z.describe('npm semver range that the base must satisfy, such as ^12')),
  }),
  build: appBuildSchema,
  run: z.optional(runSpecSchema).check(z.describe('how the app runs')),
});

export const definitionSchema = z.discriminatedUnion('kind', [baseDefinitionSchema, appDefinitionSchema]);

export type BaseDefinition = z.infer<typeof baseDefinitionSchema>;
export type AppDefinition = z.infer<typeof appDefinitionSchema>;
export type Definition = BaseDefinition | AppDefinition;
export type SourceSpec = z.infer<typeof sourceSchema>;
export type FileSpec = z.infer<typeof fileSchema>;
export type StepSpec = z.infer<typeof stepSchema>;
export type PayloadSpec = Pick<BaseDefinition['build'], keyof typeof payload>;

/** The JSON Schema that editors use; written to `definition.schema.json`. */
export function definitionJsonSchema(): unknown {
  return z.toJSONSchema(definitionSchema, { target: 'draft-2020-12', io: 'input' });
}

/** Where the published JSON Schema is, below the package's root. */
export const DEFINITION_SCHEMA_FILE = join('images', 'definition.schema.json');
