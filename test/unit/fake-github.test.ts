import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { Octokit, RequestError } from 'octokit';
import { createFakeGithub, type FakeGithub, type FakeGithubOptions } from '../support/fake-github.js';

const repo = { owner: 'maker', repo: 'apps' } as const;
const content = Buffer.from('the bytes of an asset, '.repeat(100));
const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** Quiet, and without retries of its own: faults are to be seen. */
function client(github: FakeGithub, token?: string): Octokit {
  return new Octokit({
    baseUrl: github.api,
    ...(token === undefined ? {} : { auth: token }),
    retry: { enabled: false },
    throttle: { enabled: false },
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
  });
}

async function started(options: FakeGithubOptions = {}) {
  const github = await createFakeGithub(options);
  const repository = github.createRepository(repo.owner, repo.repo);
  const writer = client(github, github.createToken('write'));
  return { github, repository, writer, reader: client(github) };
}

async function upload(octokit: Octokit, uploadUrl: string, name: string, data: Buffer = content) {
  return await octokit.request({
    method: 'POST',
    url: uploadUrl,
    name,
    data,
    headers: { 'content-type': 'application/octet-stream', 'content-length': data.length },
  });
}

/** Described as JSON, but with this Accept header it is the asset. */
function bytesOf(data: unknown): Buffer {
  assert.ok(data instanceof ArrayBuffer);
  return Buffer.from(data);
}

const status =
  (wanted: number, message = /./) =>
  (error: unknown) => {
    if (error instanceof RequestError && error.status === wanted && message.test(JSON.stringify(error.response?.data)))
      return true;
    throw error;
  };

for (const layout of ['github.com', 'enterprise'] as const) {
  describe(`the fake of ${layout}`, () => {
    it('publishes a draft as the latest release, for everybody at once', async () => {
      const { github, writer, reader } = await started({ layout });
      await using _github = github;
      const draft = await writer.rest.repos.createRelease({ ...repo, tag_name: 'index-1', draft: true });
      const asset = await upload(writer, draft.data.upload_url, 'index.json');
      assert.equal(asset.status, 201);
      assert.equal(asset.data.digest, digest);
      assert.equal((await writer.rest.repos.listReleases(repo)).data.length, 1);
      assert.equal((await reader.rest.repos.listReleases(repo)).data.length, 0);
      await assert.rejects(reader.rest.repos.getRelease({ ...repo, release_id: draft.data.id }), status(404));
      await assert.rejects(reader.rest.repos.getLatestRelease(repo), status(404));
      const web = `${github.server}/maker/apps/releases`;
      assert.equal((await fetch(`${web}/latest/download/index.json`)).status, 404);
      assert.equal((await fetch(asset.data.browser_download_url)).status, 404);

      await writer.rest.repos.updateRelease({ ...repo, release_id: draft.data.id, draft: false, make_latest: 'true' });
      assert.equal((await reader.rest.repos.getLatestRelease(repo)).data.tag_name, 'index-1');
      assert.equal(
        (await reader.rest.repos.getReleaseByTag({ ...repo, tag: 'index-1' })).data.assets[0]?.name,
        'index.json',
      );
      assert.equal((await reader.rest.git.getRef({ ...repo, ref: 'tags/index-1' })).data.object.type, 'commit');
      github.resetCounts();
      const latest = await fetch(`${web}/latest/download/index.json`);
      assert.deepEqual(Buffer.from(await latest.arrayBuffer()), content);
      assert.equal(new URL(latest.url).origin, github.world.urls.cdn);
      assert.notEqual(github.world.urls.cdn, github.server);
      assert.deepEqual(
        github.requests.map(({ endpoint }) => endpoint),
        ['web/latest-download', 'web/tag-download', 'cdn/download'],
      );
      assert.equal(github.count('api'), 0);
      assert.deepEqual(github.violations, []);
    });

    it('gives assets of private repositories to those with a token, through addresses that need none', async () => {
      const { github, writer } = await started({ layout });
      await using _github = github;
      github.createRepository('maker', 'secret', { isPrivate: true });
      const secret = { owner: 'maker', repo: 'secret' };
      const release = await writer.rest.repos.createRelease({ ...secret, tag_name: 'v1' });
      const { data } = await upload(writer, release.data.upload_url, 'a.bin');
      assert.equal((await fetch(`${github.server}/maker/secret/releases/latest/download/a.bin`)).status, 404);
      await assert.rejects(client(github).rest.repos.get(secret), status(404));
      const reader = client(github, github.createToken('read'));
      await assert.rejects(reader.rest.repos.createRelease({ ...secret, tag_name: 'v2' }), status(403));
      const found = await reader.request('GET /repos/{owner}/{repo}/releases/assets/{asset_id}', {
        ...secret,
        asset_id: data.id,
        headers: { accept: 'application/octet-stream' },
      });
      assert.deepEqual(bytesOf(found.data), content);
      assert.equal((await reader.rest.repos.get(secret)).data.private, true);
      await assert.rejects(client(github, 'wrong').rest.repos.get(secret), status(401, /Bad credentials/));
      assert.deepEqual(github.violations, []);
    });
  });
}

describe('the fake', () => {
  it('refuses a second asset of a name, too large ones, and too many', async () => {
    const { github, writer } = await started();
    await using _github = github;
    const { data } = await writer.rest.repos.createRelease({ ...repo, tag_name: 'v1', draft: true });
    const first = await upload(writer, data.upload_url, 'a b.bin');
    assert.equal(first.data.name, 'a.b.bin');
    await assert.rejects(upload(writer, data.upload_url, 'a.b.bin'), status(422, /already_exists/));
    github.limits.assetBytes = content.length - 1;
    await assert.rejects(upload(writer, data.upload_url, 'large'), status(422, /size must be less than or equal to/));
    github.limits.assetBytes = content.length;
    github.limits.assetsPerRelease = 1;
    await assert.rejects(upload(writer, data.upload_url, 'more'), status(422, /file_count/));
    await writer.rest.repos.deleteReleaseAsset({ ...repo, asset_id: first.data.id });
    assert.equal((await upload(writer, data.upload_url, 'a.b.bin')).status, 201);
    assert.deepEqual(github.violations, []);
  });

  it('keeps half an upload as a starter that blocks its name', async () => {
    const { github, writer } = await started();
    await using _github = github;
    const { data } = await writer.rest.repos.createRelease({ ...repo, tag_name: 'v1', draft: true });
    github.fail('repos/upload-release-asset', { kind: 'break-upload', after: 100 });
    await assert.rejects(upload(writer, data.upload_url, 'a.bin'));
    const { data: assets } = await writer.rest.repos.listReleaseAssets({ ...repo, release_id: data.id });
    assert.deepEqual(
      assets.map(({ name, digest: of }) => ({ name, of })),
      [{ name: 'a.bin', of: null }],
    );
    assert.match(JSON.stringify(assets), /"state":"starter"/);
    await assert.rejects(upload(writer, data.upload_url, 'a.bin'), status(422, /already_exists/));
    await writer.rest.repos.deleteReleaseAsset({ ...repo, asset_id: assets[0]?.id ?? 0 });
    assert.equal((await upload(writer, data.upload_url, 'a.bin')).status, 201);
    assert.deepEqual(github.violations, []);
  });

  it('lists in pages', async () => {
    const { github, writer } = await started();
    await using _github = github;
    const { data } = await writer.rest.repos.createRelease({ ...repo, tag_name: 'v1', draft: true });
    for (let number = 0; number < 7; number += 1) await upload(writer, data.upload_url, `asset-${number}`);
    github.resetCounts();
    const found = await writer.paginate(writer.rest.repos.listReleaseAssets, {
      ...repo,
      release_id: data.id,
      per_page: 3,
    });
    assert.deepEqual(
      found.map(({ name }) => name),
      Array.from({ length: 7 }, (_, number) => `asset-${number}`),
    );
    assert.equal(github.count('repos/list-release-assets'), 3);
    assert.deepEqual(github.violations, []);
  });

  it('lets one of many create a ref', async () => {
    const { github, repository, writer } = await started();
    await using _github = github;
    const sha = repository.refs.get('refs/heads/main') ?? '';
    const claims = Array.from({ length: 8 }, () =>
      writer.rest.git.createRef({ ...repo, ref: 'refs/trees/index/7', sha }),
    );
    const results = await Promise.allSettled(claims);
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    for (const result of results) if (result.status === 'rejected') status(422, /already exists/)(result.reason);
    const refs = await writer.rest.git.listMatchingRefs({ ...repo, ref: 'trees/index/' });
    assert.deepEqual(
      refs.data.map(({ ref }) => ref),
      ['refs/trees/index/7'],
    );
    await assert.rejects(writer.rest.git.createRef({ ...repo, ref: 'refs/x', sha }), status(422, /not a valid ref/));
    await assert.rejects(
      writer.rest.git.createRef({ ...repo, ref: 'refs/trees/x', sha: '0'.repeat(40) }),
      status(422, /does not exist/),
    );
    await writer.rest.git.deleteRef({ ...repo, ref: 'trees/index/7' });
    await assert.rejects(writer.rest.git.getRef({ ...repo, ref: 'trees/index/7' }), status(404));
    assert.deepEqual(github.violations, []);
  });

  it('counts a budget, and asking again for the same costs nothing', async () => {
    const { github, reader } = await started();
    await using _github = github;
    github.limits.anonymous = 2;
    const first = await reader.rest.repos.get(repo);
    const again = { ...repo, headers: { 'if-none-match': first.headers.etag } };
    for (let turn = 0; turn < 3; turn += 1) await assert.rejects(reader.rest.repos.get(again), { status: 304 });
    await reader.rest.repos.get(repo);
    await assert.rejects(reader.rest.repos.get(repo), (error) => {
      assert.ok(error instanceof RequestError);
      assert.equal(error.status, 403);
      assert.equal(error.response?.headers['x-ratelimit-remaining'], '0');
      return true;
    });
  });

  it('serves ranges, on condition, from addresses that run out', async () => {
    const { github, writer } = await started();
    await using _github = github;
    const { data } = await writer.rest.repos.createRelease({ ...repo, tag_name: 'v1' });
    await upload(writer, data.upload_url, 'a.bin');
    const head = await fetch(`${github.server}/maker/apps/releases/download/v1/a.bin`, { redirect: 'manual' });
    const signed = head.headers.get('location') ?? '';
    const get = async (headers: Record<string, string>) => await fetch(signed, { headers });
    const part = await get({ range: 'bytes=10-19' });
    assert.equal(part.status, 206);
    assert.equal(part.headers.get('content-range'), `bytes 10-19/${content.length}`);
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), content.subarray(10, 20));
    const etag = part.headers.get('etag') ?? '';
    assert.equal((await get({ range: 'bytes=10-19', 'if-range': etag })).status, 206);
    assert.equal((await get({ range: 'bytes=10-19', 'if-range': '"other"' })).status, 200);
    assert.equal((await get({ 'if-none-match': etag })).status, 304);
    assert.equal((await get({ range: `bytes=${content.length}-` })).status, 416);
    assert.equal((await get({ range: 'bytes=-5' })).headers.get('content-length'), '5');
    assert.equal((await fetch(signed.replace('sig=', 'sig=x'))).status, 403);
    assert.deepEqual(github.violations, []);
    assert.equal((await get({ authorization: 'token x' })).status, 400);
    assert.equal(github.violations.length, 1);
    github.advance(301);
    assert.equal((await get({})).status, 403);
  });

  it('notices requests and answers that are not as GitHub describes them', async () => {
    const { github, writer } = await started();
    await using _github = github;
    const path = `${github.api}/repos/maker/apps/releases`;
    const send = async (method: string, url: string, body?: object) =>
      await writer.request({ method, url, ...(body === undefined ? {} : { data: body }) });
    await send('POST', path, { tag_name: 'v1', tag: 'v1' });
    assert.deepEqual(github.violations.splice(0), ['repos/create-release request: no field is called tag']);
    await assert.rejects(send('POST', path, { tag_name: 'v2', draft: 'yes' }), status(422));
    assert.match(github.violations.splice(0).join('\n'), /draft must be boolean/);
    await send('GET', `${path}?pages=2`);
    assert.deepEqual(github.violations.splice(0), ['repos/list-releases request: no query parameter is called pages']);
    const release = [...github.world.repositories.values()][0]?.releases.values().next().value;
    assert.ok(release);
    Object.assign(release, { tag: 7 });
    await writer.rest.repos.listReleases(repo);
    assert.match(github.violations.join('\n'), /tag_name must be string/);
  });
});
