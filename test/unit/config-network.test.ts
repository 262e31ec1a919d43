import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { loadSettings } from '../../trees/config/load.js';
import { githubUrls } from '../../trees/feed/network.js';

async function load(env: Readonly<Record<string, string>>) {
  return await loadSettings({
    flags: {},
    env: { HOME: '/nonexistent', ...env },
    cwd: '/nonexistent',
    uid: 0,
    tty: false,
    systemDirectory: '/nonexistent',
  });
}

describe('network settings', () => {
  it('take the variables of GitHub Actions, but ours before them', async () => {
    const actions = {
      GITHUB_SERVER_URL: 'https://ghe.example',
      GITHUB_API_URL: 'https://ghe.example/api/v3',
      GITHUB_TOKEN: 'one',
    };
    const { github } = (await load(actions)).settings.network;
    assert.equal(github?.server, 'https://ghe.example');
    assert.equal(github?.api, 'https://ghe.example/api/v3');
    assert.equal(github?.token?.(), 'one');
    const ours = { ...actions, GH_TOKEN: 'two', TREES_GITHUB_SERVER: 'https://other.example' };
    const other = (await load(ours)).settings.network.github;
    assert.equal(other?.server, 'https://other.example');
    assert.equal(other?.token?.(), 'two');
    assert.equal((await load({ ...ours, TREES_GITHUB_TOKEN: 'three' })).settings.network.github?.token?.(), 'three');
  });

  it('never show the token', async () => {
    const { settings, origins } = await load({ GITHUB_TOKEN: 'ghp_secret' });
    const origin = origins.find(({ path }) => path === 'github.token');
    assert.deepEqual(origin, { path: 'github.token', value: '(set)', from: 'environment GITHUB_TOKEN' });
    for (const text of [JSON.stringify({ settings, origins }), inspect({ settings, origins }, { depth: 9 })]) {
      assert.ok(!text.includes('ghp_secret'), text);
    }
    const unset = (await load({})).origins.find(({ path }) => path === 'github.token');
    assert.deepEqual(unset, { path: 'github.token', value: null, from: 'default' });
  });

  it('take proxies as curl does', async () => {
    const proxy = async (env: Readonly<Record<string, string>>) => (await load(env)).settings.network.proxy;
    assert.equal(await proxy({}), undefined);
    assert.equal(await proxy({ NO_PROXY: '*', HTTPS_PROXY: '' }), undefined);
    assert.deepEqual(await proxy({ HTTPS_PROXY: 'http://a', https_proxy: 'http://b', no_proxy: 'x' }), {
      http: undefined,
      https: 'http://b',
      no: 'x',
    });
    assert.deepEqual(await proxy({ ALL_PROXY: 'http://a' }), { http: 'http://a', https: 'http://a', no: undefined });
  });

  it('make the path of a CA file absolute', async () => {
    assert.equal((await load({ TREES_NETWORK_CA: 'ca.pem' })).settings.network.ca, '/nonexistent/ca.pem');
  });
});

describe('githubUrls', () => {
  it('derives one address from the other', () => {
    const own = { server: 'https://ghe.example', api: 'https://ghe.example/api/v3' };
    const open = { server: 'https://github.com', api: 'https://api.github.com' };
    assert.deepEqual(githubUrls(), open);
    assert.deepEqual(githubUrls({ server: 'https://github.com/' }), open);
    assert.deepEqual(githubUrls({ api: 'https://api.github.com/' }), open);
    assert.deepEqual(githubUrls({ server: 'https://ghe.example/' }), own);
    assert.deepEqual(githubUrls({ api: 'https://ghe.example/api/v3/' }), own);
    assert.deepEqual(githubUrls({ server: 'https://a', api: 'https://b' }), { server: 'https://a', api: 'https://b' });
  });
});
