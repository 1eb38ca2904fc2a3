// The identity provider that the tests of the policy service sign in at: oidc-provider, which is certified. It is strict:
// PKCE is required, and codes work once. Its own defaults stay, so claims are at the userinfo endpoint and not in ID tokens.
//
// OIDC_PROVIDER is the folder in which `npm ci` ran, ACCOUNTS the people with their claims, CLIENTS its clients. The first
// line on stdout is the issuer. The person who signs in is named by the header `x-account`; the person `nobody` refuses.
// `POST /test/rotate` replaces its keys.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const within = createRequire(`${process.env.OIDC_PROVIDER}/package.json`);
const { Provider } = await import(pathToFileURL(within.resolve('oidc-provider')));
const accounts = JSON.parse(process.env.ACCOUNTS);
const clients = JSON.parse(process.env.CLIENTS);

function key(kid) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}

function make(issuer, kid) {
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: [key(kid)] },
    cookies: { keys: ['a key for cookies of a test'] },
    claims: { openid: ['sub'], role: ['role'], email: ['email', 'email_verified'] },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, id) => accounts[id] && { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid role email');
      await grant.save();
      return grant;
    },
  });
  provider.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    const account = ctx.get('x-account');
    const result = account === 'nobody' ? { error: 'access_denied' } : { login: { accountId: account } };
    ctx.respond = false;
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
  });
  return provider.callback();
}

let answer;
let issuer;
let rotations = 0;
const server = createServer((request, response) => {
  if (request.url === '/test/rotate') {
    rotations += 1;
    answer = make(issuer, `key-${rotations}`);
    response.end();
    return;
  }
  answer(request, response);
});
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  answer = make(issuer, 'key-0');
  console.log(issuer);
});
