// Signing in through the browser: the library asks for a code, a person fills in the pages, the library takes the tokens.
import { assert, client, scenario, sdk, settings, step } from "./town.mjs";

const { OAuth2 } = await import(`${settings.sdk}/lib/oauth/index.js`);
const back = "https://app.example/done";

/** A browser without JavaScript: cookies, links and forms. */
class Browser {
    cookies = new Map();

    async open(url, form) {
        let where = new URL(url, settings.baseUrl);
        let method = form ? "POST" : "GET";
        for (let hops = 0; hops < 10; hops++) {
            const headers = { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
            const body = method === "POST" ? new URLSearchParams(form) : undefined;
            const answer = await fetch(where, { method, headers, body, redirect: "manual" });
            for (const cookie of answer.headers.getSetCookie()) {
                const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
                this.cookies.set(name, value);
            }
            if (answer.status < 300 || answer.status >= 400) {
                this.url = where;
                this.page = await answer.text();
                assert.equal(answer.status, 200, this.page);
                assert.match(answer.headers.get("content-security-policy"), /default-src 'none'/);
                return this.page;
            }
            where = new URL(answer.headers.get("location"), where);
            method = "GET";
            if (where.href.startsWith(back)) return where;
        }
        throw new Error("redirected too often");
    }

    link(text) {
        const found = new RegExp(`<a[^>]*href="([^"]+)"[^>]*>${text}`).exec(this.page);
        assert(found, this.page);
        return new URL(found[1].replaceAll("&amp;", "&"), this.url);
    }

    /** Fills in the form that has these fields, and sends it. */
    async send(fields) {
        const forms = [...this.page.matchAll(/<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g)];
        const [, action, inside] = forms.find((form) => Object.keys(fields).every((name) => form[2].includes(`name="${name}"`)));
        const hidden = [...inside.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)];
        const values = Object.fromEntries(hidden.map(([, name, value]) => [name, value.replaceAll("&amp;", "&")]));
        return await this.open(new URL(action.replaceAll("&amp;", "&"), this.url), { ...values, ...fields });
    }
}

async function signedIn(browser, metadata, clientId, prompt, fill) {
    const deviceId = `WEB${Math.floor(Math.random() * 1e9)}`;
    const flow = new OAuth2(metadata, { clientId, deviceId, codeVerifier: "v".repeat(64) });
    const state = `state${deviceId}`;
    await browser.open(await flow.generateAuthorizationCodeGrantUrl(state, back, "query", prompt));
    await fill(browser);
    const done = await browser.send({ answer: "allow" });
    assert.equal(done.searchParams.get("state"), state);
    const tokens = await flow.completeAuthorizationCodeGrant(done.searchParams.get("code"), back);
    return { flow, deviceId, tokens };
}

await scenario(async () => {
    const anybody = sdk.createClient({ baseUrl: settings.baseUrl });
    const metadata = await anybody.getAuthMetadata();
    const clientId = await OAuth2.registerClient(metadata, {
        client_name: "A client of the test",
        client_uri: "https://app.example/",
        redirect_uris: [back],
        application_type: "web",
    });
    step("the client registered itself");

    const name = `olga.${process.pid}`;
    const password = "correct horse battery staple";
    const browser = new Browser();
    const first = await signedIn(browser, metadata, clientId, "create", (page) =>
        page.send({ token: settings.token, username: name, display_name: "Olga", password, password_again: password }),
    );
    const userId = `@${name}:clients.example`;
    const olga = await client({ access_token: first.tokens.access_token, user_id: userId, device_id: first.deviceId });
    assert.equal((await olga.whoami()).user_id, userId);
    assert.equal((await olga.whoami()).device_id, first.deviceId);
    assert.equal((await olga.getProfileInfo(userId)).displayname, "Olga");
    step("a newcomer made an account with an invitation, and the client is signed in");

    const { room_id: roomId } = await olga.createRoom({ name: "made with a token of OAuth" });
    await olga.sendTextMessage(roomId, "hello");
    const renewed = await first.flow.performRefreshTokenGrant(first.tokens.refresh_token);
    olga.setAccessToken(renewed.access_token);
    await olga.sendTextMessage(roomId, "with a new token");
    step("tokens are renewed");

    const second = await signedIn(new Browser(), metadata, clientId, undefined, (page) => page.send({ username: name, password }));
    const devices = (await olga.getDevices()).devices.map((device) => device.device_id);
    assert.deepEqual(devices.toSorted(), [first.deviceId, second.deviceId].toSorted());
    await second.flow.revokeToken(second.tokens.access_token, "access_token");
    assert.equal((await olga.getDevices()).devices.length, 1);
    step("another sign-in made another device, and its end ended it");

    const device = new OAuth2(metadata, { clientId, deviceId: "TERMINAL", codeVerifier: "v".repeat(64) });
    const waiting = await device.startDeviceAuthorizationGrant();
    const answer = device.waitForDeviceAuthorizationGrant(waiting);
    await browser.open(waiting.verification_uri_complete ?? waiting.verification_uri);
    if (browser.page.includes('name="user_code"') && !browser.page.includes('name="answer"')) {
        await browser.send({ user_code: waiting.user_code });
    }
    await browser.send({ answer: "allow" });
    assert((await answer).access_token, JSON.stringify(await answer));
    step("a terminal without a browser was let in");
});
