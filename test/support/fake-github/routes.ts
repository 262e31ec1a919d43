import type { IncomingMessage } from 'node:http';
import type { Answer, Call } from './answer.js';
import { deleteAsset, getAsset, listAssets, uploadAsset } from './assets.js';
import { createCommit, createTree, getCommit } from './commits.js';
import { repositoryDocument } from './documents.js';
import type { Fault } from './faults.js';
import { createRef, deleteRef, getRef, listMatchingRefs, updateRef } from './refs.js';
import {
  createRelease,
  deleteRelease,
  getLatestRelease,
  getRelease,
  getReleaseByTag,
  listReleases,
  updateRelease,
} from './releases.js';

/** What a handler gets besides the call: uploads read the request themselves. */
interface Wire {
  readonly request: IncomingMessage;
  readonly fault: Fault | undefined;
}

export interface Route {
  readonly method: string;
  /** Matched against the path below `/repos/{owner}/{repo}`; groups are parameters. */
  readonly pattern: RegExp;
  /** `operationId` of GitHub's description. */
  readonly operation: string;
  readonly upload?: true;
  handle(call: Call, wire: Wire): Answer | Promise<Answer>;
}

const ID = String.raw`\d+`;

export const routes: readonly Route[] = [
  {
    method: 'GET',
    pattern: /^$/,
    operation: 'repos/get',
    handle: ({ world, repository, permission }) => {
      return { status: 200, body: repositoryDocument(world, repository, permission) };
    },
  },
  { method: 'POST', pattern: /^\/git\/trees$/, operation: 'git/create-tree', handle: createTree },
  { method: 'POST', pattern: /^\/git\/commits$/, operation: 'git/create-commit', handle: createCommit },
  {
    method: 'GET',
    pattern: /^\/git\/commits\/(?<commit_sha>[0-9a-f]+)$/,
    operation: 'git/get-commit',
    handle: getCommit,
  },
  { method: 'POST', pattern: /^\/git\/refs$/, operation: 'git/create-ref', handle: createRef },
  { method: 'GET', pattern: /^\/git\/ref\/(?<ref>.+)$/, operation: 'git/get-ref', handle: getRef },
  {
    method: 'GET',
    pattern: /^\/git\/matching-refs\/(?<ref>.*)$/,
    operation: 'git/list-matching-refs',
    handle: listMatchingRefs,
  },
  { method: 'PATCH', pattern: /^\/git\/refs\/(?<ref>.+)$/, operation: 'git/update-ref', handle: updateRef },
  { method: 'DELETE', pattern: /^\/git\/refs\/(?<ref>.+)$/, operation: 'git/delete-ref', handle: deleteRef },
  { method: 'POST', pattern: /^\/releases$/, operation: 'repos/create-release', handle: createRelease },
  { method: 'GET', pattern: /^\/releases$/, operation: 'repos/list-releases', handle: listReleases },
  { method: 'GET', pattern: /^\/releases\/latest$/, operation: 'repos/get-latest-release', handle: getLatestRelease },
  {
    method: 'GET',
    pattern: /^\/releases\/tags\/(?<tag>.+)$/,
    operation: 'repos/get-release-by-tag',
    handle: getReleaseByTag,
  },
  {
    method: 'GET',
    pattern: new RegExp(`^/releases/assets/(?<asset_id>${ID})$`),
    operation: 'repos/get-release-asset',
    handle: getAsset,
  },
  {
    method: 'DELETE',
    pattern: new RegExp(`^/releases/assets/(?<asset_id>${ID})$`),
    operation: 'repos/delete-release-asset',
    handle: deleteAsset,
  },
  {
    method: 'GET',
    pattern: new RegExp(`^/releases/(?<release_id>${ID})/assets$`),
    operation: 'repos/list-release-assets',
    handle: listAssets,
  },
  {
    method: 'POST',
    pattern: new RegExp(`^/releases/(?<release_id>${ID})/assets$`),
    operation: 'repos/upload-release-asset',
    upload: true,
    handle: async (call, { request, fault }) =>
      await uploadAsset(call, request, fault?.kind === 'break-upload' ? fault : undefined),
  },
  {
    method: 'GET',
    pattern: new RegExp(`^/releases/(?<release_id>${ID})$`),
    operation: 'repos/get-release',
    handle: getRelease,
  },
  {
    method: 'PATCH',
    pattern: new RegExp(`^/releases/(?<release_id>${ID})$`),
    operation: 'repos/update-release',
    handle: updateRelease,
  },
  {
    method: 'DELETE',
    pattern: new RegExp(`^/releases/(?<release_id>${ID})$`),
    operation: 'repos/delete-release',
    handle: deleteRelease,
  },
];
